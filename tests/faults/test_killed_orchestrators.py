"""Orchestrators that are killed at random moments and resumed: every row once, hardly any work twice, nothing left."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from orchestrator.results.schema import Row
from orchestrator.results.store import Store
from tests.faults.runner import Standing

SUITE = """\
name: killed
models: [{{name: lenet5, source_frameworks: [pytorch], data: digits, training: {{epochs: 1}}, test_samples: 50}}]
formats: [onnx]
runtimes: [onnxruntime]
batch_sizes: [1, 2]
trials: {{timing: {timing}, memory: 0}}
stop_rule: {{min_samples: 5, min_time_s: 0.05, min_undisturbed_samples: 0, max_time_s: 0.3, max_warmup_s: 0.1}}
"""
OTHER_ROWS = 3
"""Two artifacts, one check."""


@dataclass(frozen=True)
class Kills:
    """One campaign after the other is killed at moments that `moments` draws, and resumed each time."""

    folder: Path
    inventory: Path
    moments: random.Random

    def until(self, kills: int) -> list[list[Row]]:
        """The rows of each campaign; the last one ends whole after so many kills in all."""
        finished: list[list[Row]] = []
        while kills > 0:
            campaign = self.folder / f"campaign{len(finished)}"
            while kills > 0 and self._is_killed(campaign):
                kills -= 1
            process = self._start(campaign)
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
            assert not [path.name for path in campaign.iterdir() if path.suffix in (".lock", ".part")]
            finished.append(list(Store.open(campaign).rows()))
        return finished

    def _start(self, campaign: Path) -> subprocess.Popen[str]:
        begun = (campaign / "campaign.json").exists()
        new = [str(self.folder / "suite.yaml"), "--runners", str(self.inventory), "--out", str(campaign)]
        arguments = ["--resume", str(campaign)] if begun else new
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("portbench")), "run", *arguments],
            env=os.environ | {"PORTBENCH_CACHE": str(self.folder / "cache"), "TMPDIR": str(self.folder / "tmp")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _is_killed(self, campaign: Path) -> bool:
        """Starts it and kills it some rows and some time later; False where it ended before."""
        before, conversions = _lines(campaign), self._conversions()
        rows = self.moments.randrange(3)
        wait_s = self.moments.uniform(0, 1.5 if rows else 6)
        with self._start(campaign) as process:
            _until(lambda: len(_lines(campaign)) >= len(before) + rows or process.poll() is not None)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        assert _lines(campaign)[: len(before)] == before
        assert self._conversions().items() >= conversions.items()
        _until(lambda: not left_of(self.folder / "tmp"))
        return process.returncode == -signal.SIGKILL

    def _conversions(self) -> dict[str, int]:
        """When each artifact was made."""
        return {path.name: path.stat().st_mtime_ns for path in (self.folder / "cache" / "index").glob("*.json")}


def _lines(campaign: Path) -> list[bytes]:
    """Of the finished rows."""
    file = campaign / "trials.jsonl"
    whole = file.read_bytes().rpartition(b"\n")[0] if file.exists() else b""
    return whole.split(b"\n") if whole else []


def left_of(temporary: Path) -> list[psutil.Process]:
    """Processes whose temporary files are below that folder."""
    found = []
    for process in psutil.process_iter():
        try:
            found += [process] if process.environ().get("TMPDIR", "").startswith(str(temporary)) else []
        except psutil.Error:
            continue
    return found


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kills", "trials"),
    [(5, 8), pytest.param(50, 40, marks=[pytest.mark.torture, pytest.mark.timeout(3600)])],
)
def test_a_campaign_that_is_killed_at_random_moments_has_every_row_once(
    kills: int, trials: int, tmp_path: Path
) -> None:
    seed = int(os.environ.get("PORTBENCH_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"PORTBENCH_SEED={seed}")
    (tmp_path / "suite.yaml").write_text(SUITE.format(timing=trials // 2))
    (tmp_path / "tmp").mkdir()
    with Standing(tmp_path) as runner:
        inventory = tmp_path / "runners.yaml"
        inventory.write_text(runner.inventory.model_dump_json(exclude_none=True))
        moments = random.Random(seed)  # noqa: S311 - no secret
        campaigns = Kills(tmp_path, inventory, moments).until(kills)
        asked = runner.asked()
    for rows in campaigns:
        assert len({row.key for row in rows}) == len(rows) == OTHER_ROWS + trials
        assert {row.status for row in rows} == {"ok"}
    repeated = asked["measured"] - trials * len(campaigns)
    print(f"{kills} kills, {len(campaigns)} campaigns of {trials} trials, {repeated} trials measured twice")
    assert 0 <= repeated <= kills
    assert asked["uploaded"] == 2  # the model and its inputs
    assert list((tmp_path / "tmp").iterdir()) == []
