"""Mutated artifacts of every format, put, measured and asked on its runners: each ends as a result or as a row."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import CaseFailure, Symptom
from orchestrator.runtimes import FORMATS, RUNNERS, RunnerKind
from runner_api.v1 import runner_pb2 as api
from tests.conftest import SEED
from tests.runners import models
from tests.runners.runner import Runner, running
from tests.torture.mutants import mutants

KINDS = [kind for kind in RUNNERS.values() if kind.devices == ("cpu",) and kind.formats != FORMATS]
FULL = 500
FEW = {"pytorch": 4, "keras": 3, "coreml-reference": 3}
"""Where a worker imports for seconds; of the others a tenth."""

SHORTEST = api.StopRule(min_samples=1, max_time_ns=1, max_warmup_ns=1)
TIMEOUT_S = 120
PREDICTED = 5
"""One of so many mutants is asked for answers too; where the runtime does not measure, each one is."""


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *(pytest.param(kind, FEW.get(kind.runtime, FULL // 10), id=kind.runtime) for kind in KINDS),
        *(
            pytest.param(kind, FULL, id=f"{kind.runtime}-full", marks=[pytest.mark.torture, pytest.mark.timeout(0)])
            for kind in KINDS
        ),
    ],
)
def test_a_mutated_artifact_is_a_result_or_a_row(kind: RunnerKind, count: int, tmp_path: Path) -> None:
    (form,) = kind.formats
    artifact = _artifact(form, tmp_path)
    endings: Counter[str] = Counter()
    with running(kind.runtime, own_folders=True) as runner:
        put = {runner.put(artifact)}
        _measure(runner, artifact, form)
        beside = _beside_the_store(runner)
        for number, (done, mutant) in enumerate(mutants(artifact, f"{SEED}-{form}", count)):
            put.add(runner.put(mutant))
            told = [_ending(_measure, runner, mutant, form)]
            if number % PREDICTED == 0 or not kind.measures:
                told.append(_ending(_predict, runner, mutant, form))
            assert runner.process.poll() is None, f"the runner ended after {done}"
            assert _beside_the_store(runner) == beside, done
            endings.update(told)
        assert not runner.workers()
        _measure(runner, artifact, form)
        stored = {path.name: path for path in (runner.folder / "store").rglob("*") if len(path.name) == 64}
        assert set(stored) >= put
        for name, path in stored.items():
            assert path.is_dir() or hashlib.sha256(path.read_bytes()).hexdigest() == name
    print(f"{kind.runtime}: {count} mutants of {form}, seed {SEED}: {dict(sorted(endings.items()))}")


def _artifact(form: str, folder: Path) -> bytes:
    return b'{"allocate_bytes": 4096, "hold_ns": 1000}' if form == "known" else models.dense(form, folder)


def _measure(runner: Runner, artifact: bytes, form: str) -> None:
    session = runner.session(artifact, form)
    try:
        runner.client.measure(runner.request(session, models.inputs(2), SHORTEST, TIMEOUT_S))
    except CaseFailure as failure:
        if "is for answers only" not in failure.message:
            raise


def _predict(runner: Runner, artifact: bytes, form: str) -> None:
    session = runner.session(artifact, form)
    for answer in runner.client.predict(session, [{"x": models.inputs(2)}], TIMEOUT_S):
        assert all(isinstance(array, np.ndarray) for array in answer.values())


def _ending(deed: Callable[[Runner, bytes, str], None], runner: Runner, mutant: bytes, form: str) -> str:
    """The stage and the symptom; what the runner itself did not tell is no row."""
    try:
        deed(runner, mutant, form)
    except CaseFailure as error:
        failure = error
    else:
        return "result"
    assert failure.message
    assert "\n" not in failure.message
    assert failure.symptom is not Symptom.UNAVAILABLE, failure.message
    assert not failure.message.startswith(f"the runner {runner.client.name}"), failure.message
    return f"{failure.stage} {failure.symptom}"


def _beside_the_store(runner: Runner) -> set[str]:
    """What lies where the runner may write by the rights of its user, the store aside."""
    found = (path.relative_to(runner.folder) for path in runner.folder.rglob("*"))
    return {str(path) for path in found if path.parts[0] != "store"}
