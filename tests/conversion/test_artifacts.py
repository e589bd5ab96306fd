"""The cache never hands out what it did not store; archives depend on content alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.artifacts import Artifact, Cache, pack_directory
from orchestrator.errors import UsageError
from runner_api.v1 import archives


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def stored(cache: Cache, tmp_path: Path) -> Artifact:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    return cache.store("key", file, format="onnx", precision="float32", details={"opset": 18})


def test_what_was_stored_is_found_by_its_key(cache: Cache, stored: Artifact) -> None:
    assert cache.find("key") == stored
    assert stored.path.read_bytes() == b"content"
    assert stored.path.name == stored.sha256
    assert stored.size_bytes == 7
    assert cache.find("other key") is None


@pytest.mark.parametrize("damage", [b"c0ntent", b"", None])
def test_a_damaged_artifact_is_not_handed_out(cache: Cache, stored: Artifact, damage: bytes | None) -> None:
    if damage is None:
        stored.path.unlink()
    else:
        stored.path.write_bytes(damage)
    assert cache.find("key") is None
    assert not stored.path.exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"sha256": "0"}', '{"sha256": 1}'])
def test_a_damaged_index_is_not_believed(cache: Cache, stored: Artifact, damage: str) -> None:
    (index,) = (cache.root / "index").iterdir()
    index.write_text(damage)
    assert cache.find("key") is None
    cache.store("key", stored.path, format="onnx", precision="float32", details={"opset": 18})
    assert cache.find("key") == stored


def test_a_cache_that_cannot_be_written_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be written.*set PORTBENCH_CACHE"):
        Cache(tmp_path / "file" / "cache")


def test_the_environment_says_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBENCH_CACHE", str(tmp_path / "elsewhere"))
    assert Cache().root == tmp_path / "elsewhere"


def _fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}/[a-z0-9]{1,5}\.bin", fullmatch=True), st.binary(), min_size=1))
def test_equal_folders_give_equal_bytes_and_come_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("pack")
    one = _fill(root / "one", files)
    other = _fill(root / "other", dict(reversed(files.items())))
    for path in other.rglob("*.bin"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o600)
    pack_directory(one, root / "one.zip")
    pack_directory(other, root / "other.zip")
    assert (root / "one.zip").read_bytes() == (root / "other.zip").read_bytes()
    archives.unpack(root / "one.zip", root / "back")
    back = {path.relative_to(root / "back").as_posix(): path for path in (root / "back").rglob("*.bin")}
    assert {name: path.read_bytes() for name, path in back.items()} == files
