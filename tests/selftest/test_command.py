"""`portbench selftest`: all checks with few processes, what it prints, and how it exits."""

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator import cli, launch
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.launch import Launched
from orchestrator.runtimes import RunnerKind
from orchestrator.selftest import settings, subjects
from orchestrator.selftest.place import Subject
from orchestrator.selftest.settings import Settings
from orchestrator.suite import StopRule

NAMES = [
    "null_overhead_ns",
    "bare_loop_ratio",
    "sleep_error",
    "allocation_error",
    "aa_false_alarms",
    "shift_detected",
    "server_cpu_share",
    "plain_cv",
    "undisturbed_cv",
    "long_plain_cv",
    "long_undisturbed_cv",
]
SHORT = Settings(
    processes=4,
    bare_processes=2,
    pairs=4,
    default_trials=2,
    thorough_trials=2,
    repeats=1,
    rule=StopRule(min_samples=50, min_time_s=0.01, min_undisturbed_samples=0, max_time_s=0.1, max_warmup_s=0.05),
    long_processes=2,
    long_batch_size=2,
    long_rule=StopRule(min_samples=5, min_time_s=0.01, min_undisturbed_samples=0, max_time_s=0.1, max_warmup_s=0.05),
    window_s=0.2,
)


class NoLauncher:
    """Nothing lives here."""

    def start(self, kind: RunnerKind) -> AbstractContextManager[Launched]:
        raise CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, f"the runner {kind.name} cannot be had")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, dense: Subject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As the command is, but with few processes and a tiny model."""
    monkeypatch.setenv("PORTBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(settings, "Settings", lambda: SHORT)
    monkeypatch.setattr(subjects, "quick_model", lambda _cache: dense)


def selftest(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["selftest", *arguments], catch_exceptions=False)


@pytest.mark.usefixtures("short")
def test_every_check_is_made_and_the_exit_code_says_whether_all_are_right() -> None:
    ended = selftest("--json", "--launcher", "process")
    checks: list[dict[str, Any]] = json.loads(ended.stdout)["checks"]
    assert [check["name"] for check in checks] == NAMES
    assert all({"name", "value", "bound", "ok"} <= set(check) for check in checks)
    figures = {check["name"]: check["value"] for check in checks}
    need_quiet = {"bare_loop_ratio", "undisturbed_cv", "long_undisturbed_cv"}
    assert all(isinstance(figures[name], float) for name in NAMES if name not in need_quiet)
    assert [check["name"] for check in checks if check["bound"] is None] == ["plain_cv", "long_plain_cv"]
    assert ended.exit_code == (0 if all(check["ok"] for check in checks) else 1)


@pytest.mark.usefixtures("short")
def test_what_cannot_be_measured_is_told_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "choose_launcher", lambda _name: (NoLauncher(), None))
    as_json = selftest("--json")
    assert as_json.exit_code == 1
    checks = json.loads(as_json.stdout)["checks"]
    assert [(check["name"], check["value"], check["ok"]) for check in checks] == [(name, None, False) for name in NAMES]
    table = selftest()
    assert table.exit_code == 1
    for name in NAMES:
        assert f"FAILED {name}: the runner " in table.stdout
