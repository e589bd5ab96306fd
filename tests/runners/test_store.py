"""What a runner keeps on its disk: each owner's own, within a limit, and no leftovers."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners.failure import Failure
from runners.store import LEAST_BYTES, Store
from tests.runners.runner import running

ROOM_FOR_THREE = 3 * LEAST_BYTES


def put(store: Store, content: bytes, owner: str = "owner") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    with store.upload(owner, sha256, len(content)) as write:
        write([content])
    return sha256


def test_the_least_recently_used_goes_first_after_a_new_start_too(tmp_path: Path) -> None:
    store = Store(tmp_path, ROOM_FOR_THREE)
    first, second, third = (put(store, content) for content in (b"first", b"second", b"third"))
    assert store.has("owner", first)
    fourth = put(store, b"fourth")
    assert [store.has("owner", each) for each in (first, second, third, fourth)] == [True, False, True, True]
    os.utime(tmp_path / "owner" / third, (0, 0))
    store.close()
    put(again := Store(tmp_path, ROOM_FOR_THREE), b"fifth")
    assert [again.has("owner", each) for each in (first, third, fourth)] == [True, False, True]


def test_what_a_call_uses_stays_and_a_caller_without_room_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path, ROOM_FOR_THREE)
    used = put(store, b"used")
    with store.lease("owner") as lease:
        path = lease.path(used)
        for content in (b"1", b"2", b"3"):
            put(store, content)
        assert path.read_bytes() == b"used"
        with pytest.raises(Failure, match="full of what other calls use") as raised:
            put(store, bytes(ROOM_FOR_THREE))
        assert raised.value.symptom == "unavailable"
    put(store, bytes(ROOM_FOR_THREE))
    assert not store.has("owner", used)


def test_an_artifact_that_the_store_can_never_hold_removes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, ROOM_FOR_THREE)
    kept = put(store, b"kept")
    with pytest.raises(Failure, match="raise --store-limit") as raised:
        store.upload("owner", "0" * 64, ROOM_FOR_THREE + 1).__enter__()
    assert raised.value.symptom == "refused"
    assert store.has("owner", kept)


def test_uploads_under_way_count(tmp_path: Path) -> None:
    store = Store(tmp_path, ROOM_FOR_THREE)
    with store.upload("owner", "0" * 64, ROOM_FOR_THREE), pytest.raises(Failure, match="other calls use"):
        put(store, b"another")
    put(store, b"another")


def test_each_owner_has_its_own_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sha256 = put(store, b"content", "one")
    assert not store.has("other", sha256)
    with store.lease("other") as lease, pytest.raises(Failure, match="put it first"):
        lease.path(sha256)
    put(store, b"content", "other")
    assert store.has("other", sha256)


def test_leftovers_of_interrupted_uploads_are_removed(tmp_path: Path) -> None:
    for name in (".incoming-abc", "0" * 64, "of the user"):
        (tmp_path / name).write_bytes(b"left")
    Store(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "of the user"]


def test_a_second_runner_in_one_folder_is_one_line() -> None:
    with running("null") as runner:
        command = [sys.executable, "-P", "-m", "runners", "null", "--listen", "127.0.0.1:0", "--store", "store"]
        ended = subprocess.run(command, cwd=runner.folder, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "give this one '--store DIR'" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
