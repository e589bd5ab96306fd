"""What is asked of an ONNX model before its runtime sees it: an artifact is one file, so no tensor lies in another."""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias, cast

from runners.failure import Failure

Message: TypeAlias = "Mapping[int, Message]"

# Of onnx.proto, the fields that lead to tensors: number -> what it holds. A tensor's field 13 says where its data lie.
_EXTERNAL_DATA = 13
_TENSOR: dict[int, Message] = {}
_SPARSE: dict[int, Message] = {1: _TENSOR, 2: _TENSOR}
_GRAPH: dict[int, Message] = {5: _TENSOR, 15: _SPARSE}
_ATTRIBUTE: dict[int, Message] = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE}
_NODE: dict[int, Message] = {5: _ATTRIBUTE}
_GRAPH[1] = _NODE
_MODEL: dict[int, Message] = {7: _GRAPH, 20: {1: _GRAPH, 2: _GRAPH}, 25: {7: _NODE, 11: _ATTRIBUTE}}

_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}
"""Wire type -> bytes."""


def check(path: Path) -> None:
    """Asks an ONNX model whether all of its tensors lie in the model itself; an artifact is one file.

    The model is read as protobuf's wire format, of which only the fields that lead to tensors are looked into: neither
    its tensors nor a library that knows all of ONNX has to be in memory.

    Raises:
        Failure: load, refused: a tensor has its data elsewhere, or the file is no protobuf message.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            is_elsewhere = _leads_out(content)
    except (ValueError, IndexError) as error:
        raise Failure("load", "refused", f"the artifact is no ONNX model ({error}); convert the model again") from error
    if is_elsewhere:
        message = "a tensor of the ONNX model has its data in another file, and an artifact is one file; save it whole"
        raise Failure("load", "refused", message)


def _leads_out(content: mmap.mmap) -> bool:
    waiting = [(_MODEL, 0, len(content))]
    while waiting:
        message, begin, end = waiting.pop()
        for number, start, stop in _fields(content, begin, end):
            if message is _TENSOR and number == _EXTERNAL_DATA:
                return True
            if number in message:
                waiting.append((cast("dict[int, Message]", message[number]), start, stop))
    return False


def _fields(content: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
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


def _varint(content: mmap.mmap, position: int) -> tuple[int, int]:
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
