"""What `portbench compare` says of equal campaigns, and of such of which one is slowed down."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from orchestrator.results.comparison import TIME, compare
from orchestrator.results.findings import Judgement
from orchestrator.results.schema import Row
from orchestrator.results.store import Store
from orchestrator.results.summary import Measured, measure

SUITE = os.environ.get("BENCHMARK_COMPARISONS_SUITE", "thorough")
CAMPAIGNS = int(os.environ.get("BENCHMARK_COMPARISONS_CAMPAIGNS", "2"))
FOLDER = os.environ.get("BENCHMARK_COMPARISONS_FOLDER")
"""Where campaigns are kept; what the same runners measured there already is not measured again."""
SLOWDOWN = 1.05
FEWEST_ALIKE = 0.95
FEWEST_FOUND = 0.9


def run() -> dict[str, Any]:
    """One campaign after the other."""
    with tempfile.TemporaryDirectory(prefix="pb-") as temporary:
        stores = [_measured(Path(FOLDER or temporary) / str(number)) for number in range(CAMPAIGNS)]
        return {"suite": SUITE, **judge(stores)}


def judge(stores: Sequence[Store]) -> dict[str, Any]:
    """Each of at least two campaigns against each other one, both ways."""
    bases = [measure(store.rows()) for store in stores]
    slowed = [measure(_slowed(store.rows())) for store in stores]
    pairs = list(permutations(range(len(stores)), 2))
    alike = Counter(verdict for one, other in pairs for verdict in _verdicts(bases[one], bases[other]))
    found = Counter(verdict for one, other in pairs for verdict in _verdicts(bases[one], slowed[other]))
    return {
        "campaigns": len(stores),
        "alike": dict(alike),
        **_shares("alike", alike, Judgement.NO_DIFFERENCE, FEWEST_ALIKE),
        "slowdown": SLOWDOWN,
        "slowed": dict(found),
        **_shares("slowed", found, Judgement.WORSE, FEWEST_FOUND),
    }


def _measured(folder: Path) -> Store:
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "run", SUITE, "--out", str(folder)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return Store.open(folder)


def _slowed(rows: Iterable[Row]) -> Iterator[Row]:
    """As if its runtimes were slower; nothing else is."""
    for row in rows:
        if row.timing is None:
            yield row
            continue
        samples_ns = tuple(round(sample * SLOWDOWN) for sample in row.timing.samples_ns)
        yield row.model_copy(update={"timing": row.timing.model_copy(update={"samples_ns": samples_ns})})


def _verdicts(base: list[Measured], other: list[Measured]) -> list[Judgement]:
    """Of the time of the cases that both timed."""
    findings = [case.figures[TIME] for case in compare(base, other).cases]
    return [finding.verdict for finding in findings if finding.base is not None and finding.other is not None]


def _shares(name: str, verdicts: Counter[Judgement], expected: Judgement, bound: float) -> dict[str, Any]:
    share = verdicts[expected] / max(verdicts.total(), 1)
    return {f"{name}_share": share, f"{name}_bound": bound, f"{name}_ok": share >= bound}
