"""A wall clock that jumps: no duration is taken from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.test_killed_orchestrators import OTHER_ROWS, SUITE

HOUR_S = 3600


@pytest.mark.torture
def test_an_hour_forward_and_back_every_half_second_is_in_no_figure(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    clock = tmp_path / "clock.so"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", str(clock), str(source)], check=True)
    folder, suite = tmp_path / "campaign", tmp_path / "suite.yaml"
    suite.write_text(SUITE.format(timing=2))
    command = [str(Path(sys.executable).with_name("portbench")), "run", str(suite), "--launcher", "process"]
    ended = subprocess.run(
        [*command, "--out", str(folder)],
        env=os.environ | {"LD_PRELOAD": str(clock), "PORTBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * (OTHER_ROWS + 4)
    assert len({row["started_at"][:13] for row in rows}) > 1  # it did jump
    timed = [row["timing"] for row in rows if row["timing"]]
    durations = [row["duration_ns"] for row in rows] + [
        section[name]
        for section in timed
        for name in ("load_ns", "first_ns", "warmup_ns", "wall_time_ns", "cpu_time_ns")
    ]
    assert 0 <= min(durations) <= max(durations) < HOUR_S * 1e9 / 10
