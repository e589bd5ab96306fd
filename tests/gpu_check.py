"""`python -m tests.gpu_check [FILE]`: the tests marked `gpu`, under this interpreter; figures and verdicts as JSON.

It needs no virtual environment of ours: the runners are processes of this interpreter, which has the frameworks.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = Path(__file__).with_name("gpu_check.txt")
STUBS = ROOT / "proto" / "runner_api" / "v1" / "runner_pb2.py"
TESTS = ("tests/runners/test_contract.py", "tests/runners/test_gpu.py")
_MODULES = ("grpc", "grpc_health", "grpc_reflection", "memory_profiler", "onnx", "pydantic", "pynvml", "pytest", "yaml")


class Checks:
    """A plug-in of pytest that keeps what each test found."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One entry per test, and one more when its set-up or tear-down went wrong."""
        if report.when == "call" or not report.passed:
            name = report.nodeid.rpartition("/")[2]
            figures = dict(report.user_properties)
            self.found.append({"check": name, "verdict": report.outcome, "why": _why(report), "figures": figures})

    def pytest_keyboard_interrupt(self) -> None:
        """Says that not all was checked; what was is kept."""
        self.found.append({"check": "all of them", "verdict": "failed", "why": "interrupted", "figures": {}})


def _why(report: Any) -> str:
    """Of what was skipped the reason, of what failed the error's first line."""
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "").partition("\n")[0]


def main() -> int:
    """0 when something was checked and nothing failed, 1 when not, 2 where nothing can be checked."""
    parser = argparse.ArgumentParser(prog="make gpu-check")
    parser.add_argument("out", nargs="?", type=Path, help="default: a file in docs/evidence/ named by device and day")
    arguments = parser.parse_args()
    if (problem := _no_gpu()) or (problem := _missing()):
        print(f"gpu-check: {problem}", file=sys.stderr)
        return 2
    if not STUBS.exists():
        _generate_stubs()
    checks = _run()
    return _write(checks.found, arguments.out)


def _missing() -> str | None:
    lacking = [name for name in _MODULES if find_spec(name) is None]
    if lacking:
        remedy = f"{sys.executable} -m pip install -r {REQUIREMENTS.relative_to(ROOT)}"
        return f"{sys.executable} lacks {', '.join(lacking)}: {remedy}"
    return None


def _no_gpu() -> str | None:
    from runners.measure import cuda

    return None if cuda.devices() else f"no GPU: {cuda.remedy('cuda:0')}"


def _generate_stubs() -> None:
    compiler = (sys.executable, "-m", "grpc_tools.protoc", "--proto_path=proto")
    outputs = ("--python_out=proto", "--grpc_python_out=proto", "--pyi_out=proto")
    subprocess.run([*compiler, *outputs, STUBS.with_name("runner.proto").relative_to(ROOT)], cwd=ROOT, check=True)


def _run() -> Checks:
    import pytest

    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # here, where the tests make Keras's models
    checks = Checks()
    pytest.main(["-m", "gpu", "--rootdir", str(ROOT), *(str(ROOT / test) for test in TESTS)], plugins=[checks])
    return checks


def _write(checks: Sequence[dict[str, Any]], out: Path | None) -> int:
    from runners.measure import cuda
    from runners.measure.environment import environment

    state, now = cuda.state("cuda:0"), datetime.now(UTC)
    verdicts = [check["verdict"] for check in checks]
    found = {
        "date": now.isoformat(timespec="seconds"),
        "device": state.get("name"),
        "driver_version": state.get("driver_version"),
        "state": state,
        "environment": environment(),
        "passed": verdicts.count("passed"),
        "failed": verdicts.count("failed"),
        "skipped": verdicts.count("skipped"),
        "checks": checks,
    }
    name = re.sub(r"[^a-z0-9]+", "-", str(state.get("name", "gpu")).lower())
    out = out or ROOT / "docs" / "evidence" / f"{name}-{now:%Y%m%d}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{out}: {found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped")
    return 0 if found["passed"] and not found["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
