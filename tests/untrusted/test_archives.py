"""Archives that were made to do harm are refused in one line, and what they were after is not there."""

import io
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from runner_api.v1 import archives
from runners.adapters import _onnx
from runners.failure import Failure
from tests.runners.formats.onnx import model as onnx_model


def _packed(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return file.getvalue()


def _special(kind: int) -> bytes:
    """A member that is no plain file; what a link leads to is its content."""
    member = zipfile.ZipInfo("inner")
    member.external_attr = (kind | 0o777) << 16
    return _packed((member, b"/etc/passwd"))


def _of_a_million() -> bytes:
    """A million members in an index of which the end says that there are none."""
    name = b"a"
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *(0,) * 7, len(name), *(0,) * 6) + name
    index = entry * 1_000_000
    return index + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, len(index), 0, 0)


def _overlapping() -> bytes:
    """1,000 members that are all the same megabyte of zeros."""
    whole = _packed(("a", bytes(1 << 20)), method=zipfile.ZIP_DEFLATED)
    at = whole.rindex(b"PK\x01\x02")
    entry, end = whole[at : at + 47], whole[at + 47 :]
    index = b"".join(entry[:46] + b"%c" % (33 + number % 90) for number in range(1000))
    return whole[:at] + index + end[:12] + struct.pack("<2LH", len(index), at, 0)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: _special(stat.S_IFLNK), "is a link or no file at all"),
        (lambda: _special(stat.S_IFCHR), "is a link or no file at all"),
        (lambda: _packed(("a", b""), ("../outside", b"")), "leaves its folder"),
        (lambda: _packed(("a/../../outside", b"")), "leaves its folder"),
        (lambda: _packed(("/outside", b"")), "leaves its folder"),
        (lambda: _packed(("..\\outside", b"")), "leaves its folder"),
        (lambda: _packed(("a\nb", b"")), "leaves its folder"),
        (lambda: _packed(("a", b"one"), ("./a", b"two")), "is in it twice"),
        (lambda: _packed(("a", b""), ("a/b", b"")), "both a file and a folder"),
        (lambda: _packed(("a", bytes(64 << 20)), method=zipfile.ZIP_DEFLATED), "it unpacks to 67108864 bytes"),
        (lambda: _packed(("a", b"a"), method=zipfile.ZIP_LZMA), "compressed in a way that is not taken"),
        (_overlapping, "it unpacks to 1048576000 bytes"),
        (_of_a_million, "more than 10000 files"),
        (lambda: _packed(*((str(number), b"") for number in range(10_001))), "more than 10000 files"),
        (lambda: b"no archive", "not a zip archive"),
    ],
    ids=[
        *("link", "device", "..", "inner ..", "absolute", "backslash", "line break", "twice", "file and folder"),
        *("bomb", "other method", "overlapping", "a million", "too many", "none"),
    ],
)
def test_a_hostile_archive_is_refused_before_anything_of_it_is_written(
    make: Callable[[], bytes], words: str, tmp_path: Path
) -> None:
    archive, folder = tmp_path / "archive", tmp_path / "folder"
    archive.write_bytes(make())
    folder.mkdir()
    with pytest.raises(archives.ArchiveError, match=words) as caught:
        archives.unpack(archive, folder)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path not in (archive, folder)] == []


GOOD = _packed(("a", b"content"), ("b/c", bytes(1000)), method=zipfile.ZIP_DEFLATED)


@given(st.one_of(st.binary(), st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8)))
def test_any_bytes_are_unpacked_or_refused(damage: bytes | list[tuple[int, int]]) -> None:
    content = bytearray(GOOD)
    for place, value in damage if isinstance(damage, list) else ():
        content[place] = value
    with tempfile.TemporaryDirectory() as root:
        archive = Path(root, "archive")
        archive.write_bytes(damage if isinstance(damage, bytes) else content)
        try:
            archives.unpack(archive, Path(root, "folder"))
        except archives.ArchiveError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - to be refused is one of the two ways to pass
        assert {path.name for path in Path(root).iterdir()} <= {"archive", "folder"}


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "0" * 64])
@pytest.mark.parametrize("where", ["graph", "branch", "attribute"])
def test_an_onnx_model_has_its_data_in_itself(location: str, where: str, tmp_path: Path) -> None:
    """The last location is another artifact of the store: the runtime itself would take it."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    if where == "attribute":
        node, held = helper.make_node("Constant", [], ["w"], value=tensor), []
    else:
        node, held = helper.make_node("Add", ["x", "w"], ["y"]), [tensor]
    graph = helper.make_graph([node], "graph", [], [], held)
    if where == "branch":
        branches = helper.make_node("If", ["is"], ["y"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([branches], "outer", [], [])
    artifact = tmp_path / "artifact"
    artifact.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(Failure, match="has its data in another file") as caught:
        _onnx.check(artifact)
    assert (caught.value.stage, caught.value.symptom) == ("load", "refused")


ONNX = onnx_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [1, 4], {"w": np.ones((4, 4), np.float32)})


@given(st.one_of(st.binary(), st.lists(st.tuples(st.integers(0, len(ONNX) - 1), st.integers(0, 255)), max_size=8)))
def test_any_bytes_are_an_onnx_model_or_refused(damage: bytes | list[tuple[int, int]]) -> None:
    content = bytearray(ONNX)
    for place, value in damage if isinstance(damage, list) else ():
        content[place] = value
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(damage if isinstance(damage, bytes) else content)
        try:
            _onnx.check(Path(file.name))
        except Failure as failure:
            assert (failure.stage, failure.symptom) == ("load", "refused")  # noqa: PT017 - as above
