"""What is asked of an ONNX model before its runtime sees it: all of its tensors lie in the artifact.

That is the model itself, or a stored archive of the model and the files that its tensors name.
"""

import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

from runner_api.v1 import archives
from runners.adapters import _archive
from runners.failure import Failure

Message: TypeAlias = "Mapping[int, Message]"

# Of onnx.proto, the fields that lead to tensors: number -> what it holds. A tensor's field 13 says where its data lie,
# in entries of a key and a value.
_KEY, _VALUE = 1, 2
_ENTRY: dict[int, Message] = {}
_TENSOR: dict[int, Message] = {13: _ENTRY}
_SPARSE: dict[int, Message] = {1: _TENSOR, 2: _TENSOR}
_GRAPH: dict[int, Message] = {5: _TENSOR, 15: _SPARSE}
_ATTRIBUTE: dict[int, Message] = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE}
_NODE: dict[int, Message] = {5: _ATTRIBUTE}
_GRAPH[1] = _NODE
_MODEL: dict[int, Message] = {7: _GRAPH, 20: {1: _GRAPH, 2: _GRAPH}, 25: {7: _NODE, 11: _ATTRIBUTE}}

_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}
"""Wire type -> bytes."""

_ARCHIVE = b"PK\x03\x04"
# Of a member's header in a zip archive.
_HEADER_BYTES, _LENGTHS, _LENGTHS_AT = 30, struct.Struct("<HH"), 26


def check(path: Path) -> None:
    """Asks an ONNX model whether all of its tensors lie in the artifact.

    The model is read as protobuf's wire format, of which only the fields that lead to tensors are looked into: neither
    its tensors nor a library that knows all of ONNX has to be in memory.

    Raises:
        Failure: load, refused: a tensor has its data elsewhere, or the file is neither a protobuf message nor an
            archive with one.
    """
    try:
        files = contents(path)
        elsewhere = _elsewhere(files[archives.ONNX_MODEL]) - files.keys()
    except (ValueError, IndexError, struct.error) as error:
        raise Failure("load", "refused", f"the artifact is no ONNX model ({error}); convert the model again") from error
    if elsewhere:
        message = f"a tensor of the ONNX model has its data in another file, {min(elsewhere)[:80]!r}"
        raise Failure("load", "refused", f"{message}, which is not in the artifact; bring the model with its files")


def is_packed(path: Path) -> bool:
    """Whether it is an archive of the model and of files beside it; by how it begins, for loading is timed."""
    with path.open("rb") as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def contents(path: Path) -> dict[str, memoryview]:
    """The model, and of an archive the other files, by name; mapped, not read.

    Raises:
        Failure: load, refused: no archive within bounds, or one that is compressed.
    """
    with path.open("rb") as file:
        is_empty = path.stat().st_size == 0
        mapped = memoryview(b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if not is_packed(path):
        return {archives.ONNX_MODEL: mapped}
    _archive.check(path)
    with archives.opened(path) as archive:
        files = {member.filename: _member(mapped, member) for member in archive.infolist()}
    if archives.ONNX_MODEL not in files:
        raise Failure("load", "refused", f"the archive holds no {archives.ONNX_MODEL}; bring the model again")
    return files


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The model in a file, beside those that its tensors name, for runtimes that take nothing else.

    Raises:
        Failure: load, unavailable: there is no room for them.
    """
    if not is_packed(path):
        yield path
        return
    import tempfile  # here, for the import of a runtime is timed

    with tempfile.TemporaryDirectory() as folder:
        try:
            archives.unpack(path, Path(folder))
        except OSError as error:
            message = f"the model's files do not fit into the runner's temporary folder ({error.strerror})"
            raise Failure("load", "unavailable", f"{message}; choose onnxruntime, or another launcher") from error
        yield Path(folder) / archives.ONNX_MODEL


def _member(mapped: memoryview, member: zipfile.ZipInfo) -> memoryview:
    if member.compress_type != zipfile.ZIP_STORED:
        raise Failure(
            "load", "refused", f"{member.filename[:80]!r} is compressed in the archive; bring the model again"
        )
    name_bytes, extra_bytes = _LENGTHS.unpack_from(mapped, member.header_offset + _LENGTHS_AT)
    start = member.header_offset + _HEADER_BYTES + name_bytes + extra_bytes
    return mapped[start : start + member.file_size]


def _elsewhere(content: memoryview) -> set[str]:
    """Where tensors have their data, if not in the model."""
    found: set[str] = set()
    waiting = [(_MODEL, 0, len(content))]
    while waiting:
        message, begin, end = waiting.pop()
        fields = list(_fields(content, begin, end))
        if message is _ENTRY:
            texts = {number: bytes(content[start:stop]) for number, start, stop in fields}
            if texts.get(_KEY) == b"location":
                found.add(texts.get(_VALUE, b"").decode())
        for number, start, stop in fields:
            if number in message:
                waiting.append((cast("dict[int, Message]", message[number]), start, stop))
    return found


def _fields(content: memoryview, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and stop of each field that has a length; raises ValueError where the bytes are no message."""
    while position < end:
        key, position = _varint(content, position)
        wire_type = key & 7
        if wire_type == _VARINT:
            _, position = _varint(content, position)
        elif wire_type == _LENGTH_DELIMITED:
            size, start = _varint(content, position)
            position = start + size
            if position <= end:
                yield key >> 3, start, position
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        else:
            raise ValueError(f"protobuf's wire type {wire_type} at byte {position}")
    if position != end:
        raise ValueError(f"a field ends after its message, at byte {position}")


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """The number that begins at the position, and the position after it."""
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift >= 70:
            raise ValueError(f"a number of more than 10 bytes at byte {position}")
