"""`make gpu-check` where there is no GPU, and what it writes where there is one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runners.measure import cuda
from tests import gpu_check

pytest_plugins = ["pytester"]


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    if cuda.devices():
        pytest.skip("a CUDA device is here")
    command = [sys.executable, "-m", "tests.gpu_check", str(tmp_path / "found.json")]
    run = subprocess.run(command, cwd=gpu_check.ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("gpu-check: no GPU: there is no NVIDIA driver here")
    assert run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["passed", "skipped"], 0), (["passed", "failed"], 1), (["skipped", "skipped"], 1), ([], 1)],
)
def test_it_fails_unless_something_passed_and_nothing_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdicts: list[str], code: int
) -> None:
    told = {"name": "NVIDIA T4", "driver_version": "580.95.05"}
    monkeypatch.setattr(cuda, "state", {"cuda:0": told}.__getitem__)
    out = tmp_path / "evidence" / "found.json"
    checks = [{"check": str(number), "verdict": verdict} for number, verdict in enumerate(verdicts)]
    assert gpu_check._write(checks, out) == code
    found = json.loads(out.read_text())
    assert (found["device"], found["driver_version"]) == ("NVIDIA T4", "580.95.05")
    assert found["checks"] == checks


def test_it_keeps_every_figure_and_verdict(pytester: pytest.Pytester) -> None:
    """With pytest itself, in a process of its own folder."""
    pytester.makepyfile(
        """
        import pytest

        def test_figure(record_property):
            record_property("median_ns", 12)

        def test_wrong():
            assert 1 == 2, "one is not two"

        def test_left_out():
            pytest.skip("no such engine")
        """
    )
    checks = gpu_check.Checks()
    pytester.inline_run(plugins=[checks])
    assert [(found["verdict"], found["figures"]) for found in checks.found] == [
        ("passed", {"median_ns": 12}),
        ("failed", {}),
        ("skipped", {}),
    ]
    passed, failed, skipped = (found["why"] for found in checks.found)
    assert passed == ""
    assert "one is not two" in failed
    assert "no such engine" in skipped
