"""The cost of a trial beyond the phases that it measures, in a real campaign with the quick suite's settings."""

import io
import tempfile
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from orchestrator import campaign
from orchestrator.inventory import load_inventory
from orchestrator.launch.process import ProcessLauncher
from orchestrator.plan import make_plan
from orchestrator.progress import Narrator
from orchestrator.results.schema import Row
from orchestrator.suite import Suite, load_suite

TRIALS = 12
HIGHEST_SHARE = 0.1


def run() -> dict[str, Any]:
    """From the begin of one trial to that of the next, its row written and synced."""
    rows = [row for row in _rows() if row.kind == "timing"]
    between_ns = [1e9 * (_begun(after) - _begun(before)).total_seconds() for before, after in pairwise(rows)]
    phases_ns = [_phases_ns(row) for row in rows[:-1]]
    beyond_ns = np.median(np.subtract(between_ns, phases_ns))
    share = float(np.median(np.subtract(between_ns, phases_ns) / between_ns))
    return {
        "trials": len(between_ns),
        "trial_ns": float(np.median(between_ns)),
        "beyond_phases_ns": float(beyond_ns),
        "beyond_phases_share": share,
        "bound": HIGHEST_SHARE,
        "ok": share <= HIGHEST_SHARE,
    }


def _rows() -> Sequence[Row]:
    quick = load_suite("quick").model_dump(mode="json")
    quick |= {"name": "trial-cost", "formats": ["onnx"], "runtimes": ["onnxruntime"], "batch_sizes": [1]}
    quick |= {"trials": {"timing": TRIALS, "memory": 0}}
    quick["models"][0]["source_frameworks"] = ["keras"]
    suite = Suite.model_validate(quick)
    with tempfile.TemporaryDirectory() as folder:
        inventory = load_inventory(None, suite.runtimes)
        plan, store = make_plan(suite, inventory), campaign.open_folder(suite, inventory, Path(folder) / "campaign")
        with Narrator(Console(file=io.StringIO())) as narrator:
            campaign.run(plan, suite, inventory, store, ProcessLauncher(), narrator)
        return list(store.rows())


def _begun(row: Row) -> datetime:
    return datetime.fromisoformat(row.started_at)


def _phases_ns(row: Row) -> int:
    timing = row.timing
    if timing is None:
        raise RuntimeError(f"the trial failed: {row.message}")
    return timing.import_ns + timing.load_ns + timing.first_ns + timing.warmup_ns + timing.wall_time_ns
