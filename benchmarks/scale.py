"""Plan and report of a large campaign: 100,000 planned and 10,000 finished trials."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.clock import timed
from orchestrator.inventory import load_inventory
from orchestrator.plan import make_plan, order_trials
from orchestrator.report import files
from orchestrator.report import plan as plan_report
from orchestrator.report.html.curves import Curves
from orchestrator.report.plots.process import Drawing
from orchestrator.report.table import table
from orchestrator.results.schema import Campaign, Identity, Row, TimingSection
from orchestrator.results.store import ROWS_FILE, Store
from orchestrator.results.summary import measure
from orchestrator.suite import Suite

PLANNED_TRIALS = 100_000
FINISHED_TRIALS = 10_000
TRIALS_PER_CASE = 5
SAMPLES_PER_TRIAL = 1_000
BLOCK_SAMPLES = 8
DISTURBED_SHARE = 0.1
"""Of the references. With fewer than 64 undisturbed blocks per trial, resampling takes nearly twice as long."""

# Source framework, format and runtime: what the quick suite measures.
PLACES = (
    ("keras", "keras", "keras"),
    ("keras", "onnx", "onnxruntime"),
    ("pytorch", "pt2", "pytorch"),
    ("pytorch", "onnx", "onnxruntime"),
)


def run() -> dict[str, Any]:
    """Seconds of each step."""
    return {"plan": _plan(), "report": _report()}


def _plan() -> dict[str, Any]:
    suite = Suite.model_validate(
        {
            "name": "large",
            "models": [{"name": "lenet5", "data": "digits"}],
            "formats": ["keras", "pt2", "onnx"],
            "runtimes": ["keras", "pytorch", "onnxruntime"],
            "batch_sizes": list(range(1, PLANNED_TRIALS // (len(PLACES) * TRIALS_PER_CASE) + 1)),
            "trials": {"timing": TRIALS_PER_CASE, "memory": 0},
        }
    )
    inventory = load_inventory(None, suite.runtimes)
    plan, plan_s = timed(lambda: make_plan(suite, inventory))
    trials, order_s = timed(lambda: order_trials(plan.cases, suite))
    _, objects_s = timed(lambda: plan_report.as_objects(plan, suite))
    _, table_s = timed(lambda: _render(plan_report.as_table(plan, suite)))
    seconds = {"plan_s": plan_s, "order_s": order_s, "as_objects_s": objects_s, "as_table_s": table_s}
    return {"trials": len(trials), "cases": len(plan.cases), **seconds}


def _report() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "campaign"
        store = write_campaign(folder)
        size_bytes = (folder / ROWS_FILE).stat().st_size
        curves = Curves()
        with Drawing() as drawing:
            rows, read_s = timed(lambda: list(curves.watch(store.rows())))
            measured, summarise_s = timed(lambda: measure(rows))
            cases = [case.summary for case in measured]
            _, table_s = timed(lambda: _render(table(cases)))
            written, write_s = timed(lambda: files.write(store.campaign, measured, curves, folder, drawing))
        page_bytes = written[0].stat().st_size
    sizes = {
        "trials": len(rows),
        "cases": len(cases),
        "samples_per_trial": SAMPLES_PER_TRIAL,
        "disturbed_share": DISTURBED_SHARE,
        "rows_bytes": size_bytes,
        "page_bytes": page_bytes,
    }
    return {**sizes, "read_s": read_s, "summarise_s": summarise_s, "as_table_s": table_s, "write_s": write_s}


def write_campaign(folder: Path) -> Store:
    """Of `FINISHED_TRIALS` timing trials."""
    campaign = Campaign(name="large", created_at="2026-01-01T00:00:00", suite={}, inventory={}, versions={})
    store = Store.create(folder, campaign)
    with (folder / ROWS_FILE).open("w") as file:
        file.writelines(row.model_dump_json() + "\n" for row in _rows())
    return store


def _rows() -> Iterator[Row]:
    random = np.random.default_rng(20220928)
    cases = [
        (*place, 1 + number) for number in range(FINISHED_TRIALS // (TRIALS_PER_CASE * len(PLACES))) for place in PLACES
    ]
    for trial in range(TRIALS_PER_CASE):
        for framework, format_, runtime, batch_size in cases:
            identity = Identity(
                kind="timing",
                model="lenet5",
                source_framework=framework,
                format=format_,
                precision="float32",
                runner=f"{runtime}-cpu",
                runtime=runtime,
                device="cpu",
                batch_size=batch_size,
                threads=1,
                host="local",
                host_fingerprint="0",
                isolation="process",
                trial=trial,
                artifact_sha256="0" * 64,
            )
            yield Row(
                **identity.model_dump(),
                started_at="2026-01-01T00:00:00+00:00",
                duration_ns=10**9,
                status="ok",
                timing=_timing(random),
                versions={"python": "3.11", "reference": "2"},
            )


def _timing(random: np.random.Generator) -> TimingSection:
    samples = random.lognormal(np.log(40_000) + random.normal(0, 0.01), 0.02, SAMPLES_PER_TRIAL)
    blocks = SAMPLES_PER_TRIAL // BLOCK_SAMPLES
    references = np.where(random.random(blocks + 1) < DISTURBED_SHARE, 9_000, 5_000)
    return TimingSection(
        import_ns=10**9,
        load_ns=10**7,
        first_ns=10**6,
        warmup_ns=10**8,
        warmup_samples=1000,
        samples_ns=tuple(samples.astype(int).tolist()),
        block_samples=(BLOCK_SAMPLES,) * blocks,
        references_ns=tuple(references.tolist()),
        reference_best_ns=5_000,
        undisturbed=(True,) * blocks,
        stopped_by="enough",
        unmet=(),
        stable=True,
        reason=None,
        cpu_time_ns=10**8,
        wall_time_ns=10**8,
        voluntary_switches=0,
        involuntary_switches=0,
        gc_enabled=False,
        compute_only=False,
    )


def _render(renderable: Any) -> None:
    Console(file=io.StringIO(), width=100).print(renderable)
