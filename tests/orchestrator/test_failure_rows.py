"""Models that go wrong in a campaign: each ends as its own failure rows, and the others go on."""

import io
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console

from orchestrator import campaign
from orchestrator.artifacts import Artifact, Cache, sha256_of
from orchestrator.cases import ArtifactName, Case
from orchestrator.host import HostRun, Prepared
from orchestrator.inventory import Host, Inventory, RunnerEntry, load_inventory
from orchestrator.launch.process import ProcessLauncher
from orchestrator.plan import Check, Plan
from orchestrator.preparation import Inputs, Origin
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.schema import Row
from orchestrator.robustness.crafted import Source
from orchestrator.suite import Suite
from runners.measure import cuda
from tests.runners import models

SUITE = {
    "name": "failures",
    "models": [{"name": "lenet5", "data": "digits"}],
    "runtimes": ["onnxruntime"],
    "trials": {"timing": 2, "memory": 0},
    "stop_rule": {"min_time_s": 0.01, "max_time_s": 0.05, "max_warmup_s": 0.05},
    "trial_timeout_s": 3,
}
SAMPLES = models.inputs(40)
FLIPPED = models.WEIGHTS * np.where(np.arange(12).reshape(models.WEIGHTS.shape) == 5, -1, 1).astype(np.float32)
MODELS = {
    "good": models.dense("onnx", Path()),
    "hangs": models.endless_onnx(),
    "greedy": models.greedy_onnx(1 << 50),
    "nan": models.dense("onnx", Path(), bias=np.full(3, np.nan, np.float32)),
    "fixed": models.dense("onnx", Path(), batch=1),
    "flipped": models.dense("onnx", Path(), weights=FLIPPED),
    "unknown": models.unknown_operator_onnx(),
    "torn": models.dense("onnx", Path())[:100],
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Model -> the rows of a campaign in which each is checked once and measured twice in batches of 2."""
    found = _rows_of(MODELS, load_inventory(None, ("onnxruntime",)), tmp_path_factory.mktemp("failures"))
    return {model: [row for row in found if row.model == model] for model in MODELS}


def _rows_of(contents: dict[str, bytes], inventory: Inventory, folder: Path) -> list[Row]:
    """The rows of a campaign on the only runner of the only host."""
    suite = Suite.model_validate(SUITE)
    (host,) = inventory.hosts
    ((runner, kind),) = ((entry.name, entry.kind) for entry in host.entries())
    (where,) = kind.devices
    names = {model: ArtifactName(model, "keras", "onnx", "float32") for model in contents}
    cache = Cache(folder / "cache")
    prepared = {names[model]: _prepared(cache, content, suite, folder / model) for model, content in contents.items()}
    plan = Plan(
        tuple(names.values()),
        tuple(Check(name, host.name, runner, where) for name in names.values()),
        (),
        tuple(Case(name, host.name, runner, kind.runtime, where, 2, 1) for name in names.values()),
    )
    store = campaign.open_folder(suite, inventory, folder / "campaign")
    before = set(psutil.Process().children(recursive=True))
    with Narrator(Console(file=io.StringIO())) as narrator:
        run = HostRun(
            host, plan, suite, prepared, Recorder(store), ProcessLauncher(), narrator, defaultdict(threading.Lock)
        )
        run.execute()
    assert set(psutil.Process().children(recursive=True)) <= before
    return list(store.rows())


def _prepared(cache: Cache, content: bytes, suite: Suite, path: Path) -> Prepared:
    path.write_bytes(content)
    inputs = path.with_suffix(".npz")
    np.savez(inputs, input=SAMPLES)
    artifact = Artifact(sha256_of(path), len(content), "onnx", "float32", path, {})
    labels = np.zeros(len(SAMPLES), np.int64)
    found = Inputs("made-up", inputs, sha256_of(inputs), labels, {})
    origin = Origin("lenet5", "keras", "digits")
    return Prepared(suite.models[0], artifact, Source(cache, origin, artifact, found, models.answers(SAMPLES)), {})


def test_a_model_that_is_right_goes_on_among_those_that_are_not(rows: dict[str, list[Row]]) -> None:
    assert [(row.kind, row.status) for row in rows["good"]] == [("check", "ok"), ("timing", "ok"), ("timing", "ok")]


def test_one_flipped_weight_is_measured_and_shown_as_wrong(rows: dict[str, list[Row]]) -> None:
    check, *trials = rows["flipped"]
    assert (check.status, check.stage, check.symptom) == ("wrong", "compare", "wrong-output")
    assert check.message
    assert "answers differ from the source's by" in check.message
    assert [(row.kind, row.status) for row in trials] == [("timing", "ok")] * 2


@pytest.mark.parametrize(
    ("model", "stages", "symptom"),
    [
        ("hangs", {"infer"}, "timeout"),
        ("greedy", {"infer"}, "out-of-memory"),
        ("nan", {"compare", "infer"}, "wrong-output"),
        ("fixed", {"infer"}, "refused"),
        ("unknown", {"load"}, "unsupported-operator"),
        ("torn", {"load"}, "refused"),
    ],
)
def test_a_failure_is_a_row_of_its_own_and_is_not_tried_again(
    rows: dict[str, list[Row]], model: str, stages: set[str], symptom: str
) -> None:
    assert sorted(row.kind for row in rows[model]) == ["check", "timing"]
    assert {row.stage for row in rows[model]} == stages
    for row in rows[model]:
        assert (row.status, row.symptom) == ("failed", symptom), row.message
        assert row.message
        assert row.duration_ns < 20e9


def test_a_gpu_that_is_not_there_is_told_at_once_and_never_replaced(tmp_path: Path) -> None:
    if cuda.devices():
        pytest.skip("a CUDA device is here")
    host = Host(name="gpu-box", runners=(RunnerEntry(name="onnxruntime-cuda"),))
    check, trial = _rows_of({"good": MODELS["good"]}, Inventory(hosts=(host,)), tmp_path)
    assert (check.kind, trial.kind) == ("check", "timing")
    for row in (check, trial):
        assert (row.status, row.stage, row.symptom, row.device) == ("failed", "load", "unavailable", "cuda:0")
        assert "asked for 'cuda:0': there is no NVIDIA driver here: install it" in str(row.message)
