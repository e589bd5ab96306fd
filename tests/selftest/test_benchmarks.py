"""The benchmarks run and give figures; how good these are is no business of the tests."""

import json
import sys
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks import artifacts, comparisons, page, scale
from benchmarks.browser import chromium


def test_figures_come_with_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(artifacts, "SIZE_BYTES", 3 << 20)
    monkeypatch.setattr(artifacts, "REPEATS", 1)
    monkeypatch.setattr(scale, "PLANNED_TRIALS", 200)
    monkeypatch.setattr(scale, "FINISHED_TRIALS", 20)
    monkeypatch.setattr(page, "REPEATS", 1)
    names = ["artifacts", "scale", *(["page"] if chromium() else [])]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *names, "--out", str(tmp_path / "new" / "out.json")])
    command.main()
    written = json.loads((tmp_path / "new" / "out.json").read_text())
    assert json.loads(capsys.readouterr().out) == written
    assert written["machine"]["cpu_model"]
    figures = written["benchmarks"]
    assert figures["artifacts"]["size_bytes"] == 3 << 20
    assert figures["artifacts"]["ratio"] > 0
    assert figures["scale"]["plan"]["trials"] == 200
    assert (figures["scale"]["report"]["trials"], figures["scale"]["report"]["cases"]) == (20, 4)
    assert "page" not in figures or figures["page"]["interactive_s"] > 0


def test_what_compare_says_of_campaigns_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scale, "FINISHED_TRIALS", 20)
    figures = comparisons.judge([scale.write_campaign(tmp_path / name) for name in ("one", "other")])
    assert (figures["alike"], figures["alike_share"], figures["alike_ok"]) == ({"no-difference": 8}, 1.0, True)
    assert (figures["slowed"], figures["slowed_share"], figures["slowed_ok"]) == ({"worse": 8}, 1.0, True)
