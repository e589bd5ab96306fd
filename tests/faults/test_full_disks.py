"""Disks without room, on either side."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import UsageError
from orchestrator.inventory import load_inventory
from orchestrator.launch.process import ProcessLauncher
from tests.faults.conftest import SUITE, Campaign
from tests.faults.test_lost_runners import all_ok, statuses
from tests.runners import models

HERE = load_inventory(None, ("onnxruntime",))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a small disk")
    try:
        yield folder
    finally:
        unmount = ["umount", "--lazy", str(folder)]
        subprocess.run(unmount, check=True)


def _grow(disk: Path) -> None:
    remount = ["mount", "-o", "remount,size=16m", str(disk)]
    subprocess.run(remount, check=True)


def test_a_campaign_whose_disk_is_full_ends_in_one_line_and_goes_on_once_there_is_room(
    begun: Campaign, disk: Path
) -> None:
    there = replace(begun, folder=disk / "campaign")
    suite = SUITE.model_copy(update={"trials": SUITE.trials.model_copy(update={"timing": 12})})
    with pytest.raises(UsageError, match=r"cannot be written: .*; choose a folder with room") as full:
        there.run(HERE, ProcessLauncher(), suite=suite)
    assert "\n" not in str(full.value)
    kept = there.rows()
    assert {row.status for row in kept} == {"ok"}
    _grow(disk)
    there.run(HERE, ProcessLauncher(), suite=suite)
    assert there.rows()[: len(kept)] == kept
    assert sorted(statuses(there)) == sorted(all_ok(12))


def test_a_runner_whose_disk_is_full_refuses_what_it_has_no_room_for_and_goes_on(
    begun: Campaign, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    weights = np.zeros((models.FEATURES, 30_000), np.float32)
    large = begun.carrying(models.dense("onnx", disk, weights=weights, bias=np.zeros(30_000, np.float32)))
    large.run(HERE, ProcessLauncher())
    failed = large.rows()
    assert {(row.status, row.stage, row.symptom) for row in failed} == {("failed", "ship", "refused")}
    assert "room" in str(failed[0].message)
    _grow(disk)
    begun.run(HERE, ProcessLauncher())
    assert next(row for row in begun.rows() if row not in failed).status == "ok"
    assert list(disk.iterdir()) == []
