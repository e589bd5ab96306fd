"""How the server and its worker talk: JSON headers and raw tensors, over a socket into which no library prints."""

import json
import os
from typing import Any, NamedTuple

from runners.tensors import Tensor

_LENGTH_BYTES = 8
_MOST_BYTES = 4 << 30
"""Of one part, lest a worker that went wrong fills the memory of its server."""


class Message(NamedTuple):
    """`header` is anything that JSON can say."""

    header: dict[str, Any]
    tensors: list[Tensor]


class Channel:
    """One end of a stream socket: messages, each part of them behind its length.

    multiprocessing's Connection would do the same; importing it costs a trial some 15 ms.

    Args:
        descriptor: of the socket; it is closed with the channel.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """To wait for it among others."""
        return self._descriptor

    def close(self) -> None:
        """The other side reads the end."""
        os.close(self._descriptor)

    def send(self, header: dict[str, Any], tensors: list[Tensor] | None = None) -> None:
        """Sends one message; raises OSError when nobody is there."""
        tensors = tensors or []
        described = [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]
        self._write(json.dumps({"header": header, "tensors": described}).encode())
        for tensor in tensors:
            self._write(tensor.data)

    def receive(self) -> Message:
        """Blocks until a message is there.

        Raises:
            EOFError, OSError: there will be none.
            Exception: what came is no message; the other side may have been turned against this one.
        """
        envelope = json.loads(self._read())
        tensors = [Tensor(name, dtype, tuple(shape), self._read()) for name, dtype, shape in envelope["tensors"]]
        return Message(envelope["header"], tensors)

    def _write(self, content: bytes) -> None:
        for part in (len(content).to_bytes(_LENGTH_BYTES, "little"), content):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def _read(self) -> bytes:
        size = int.from_bytes(self._read_exactly(_LENGTH_BYTES), "little")
        if size > _MOST_BYTES:
            raise ValueError(f"a part of {size} bytes; at most {_MOST_BYTES} are taken")
        return self._read_exactly(size)

    def _read_exactly(self, size: int) -> bytes:
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            count = os.readv(self._descriptor, [rest])
            if not count:
                raise EOFError
            rest = rest[count:]
        return bytes(content)
