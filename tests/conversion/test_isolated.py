"""Whatever happens in the process ends as a result or a failure, and the process ends too."""

import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.isolated import call
from tests.conversion import behaviours


def _call(function: str, timeout_s: float = 60, **kwargs: Any) -> dict[str, Any]:
    return call(f"{behaviours.__name__}:{function}", timeout_s=timeout_s, stage=Stage.CONVERT, **kwargs)


def test_a_result_comes_back_with_time_and_peak_of_a_fresh_process() -> None:
    result = _call("answer", number=1, name="ä", none=None)
    assert result["given"] == {"number": 1, "name": "ä", "none": None}
    assert result["frameworks"] == []
    assert result["duration_ns"] > 0
    grown = _call("touch_memory", count_bytes=64 * 2**20)["peak_bytes"] - result["peak_bytes"]
    assert grown == pytest.approx(64 * 2**20, rel=0.1)


@pytest.mark.parametrize(
    ("function", "stage", "symptom", "words"),
    [
        ("abort", Stage.CONVERT, Symptom.CRASH, "died by SIGABRT: the library's last words"),
        ("leave", Stage.CONVERT, Symptom.CRASH, "died with exit code 3"),
        ("fail", Stage.CONVERT, Symptom.CRASH, "ValueError: no such layer"),
        ("fail_at_export", Stage.EXPORT, Symptom.CRASH, "ValueError: no such layer"),
        ("allocate", Stage.CONVERT, Symptom.OUT_OF_MEMORY, "8 EiB wanted"),
        ("be_killed", Stage.CONVERT, Symptom.OUT_OF_MEMORY, "lack of memory"),
        ("missing", Stage.CONVERT, Symptom.CRASH, "missing"),
    ],
)
def test_what_goes_wrong_there_is_a_failure_here(function: str, stage: Stage, symptom: Symptom, words: str) -> None:
    with pytest.raises(CaseFailure) as caught:
        _call(function)
    failure = caught.value
    assert (failure.stage, failure.symptom) == (stage, symptom)
    assert words in failure.message
    assert "\n" not in failure.message


def test_what_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(CaseFailure, match="took longer than the 2 s") as caught:
        _call("hang", timeout_s=2, pids=str(pids))
    assert caught.value.symptom == Symptom.TIMEOUT
    _wait_until_gone(pids)


def test_nothing_outlives_a_killed_orchestrator(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    orchestrator = multiprocessing.get_context("spawn").Process(target=behaviours.call_hang, args=(str(pids),))
    orchestrator.start()
    _wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"))
    orchestrator.kill()
    orchestrator.join()
    assert orchestrator.exitcode == -signal.SIGKILL
    _wait_until_gone(pids)


def _wait_until_gone(pids: Path) -> None:
    _wait_for(lambda: all(map(_is_gone, pids.read_text().split())))


def _wait_for(condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")


def _is_gone(pid: str) -> bool:
    """Ended, be it that nobody has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
