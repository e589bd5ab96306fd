"""How the server and its worker talk: JSON headers and raw tensors, over a socket into which no library prints."""

import json
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from runners.tensors import Tensor


@dataclass(frozen=True)
class Message:
    """`header` is anything that JSON can say."""

    header: dict[str, Any]
    tensors: list[Tensor] = field(default_factory=list)


def send(connection: Connection, header: dict[str, Any], tensors: list[Tensor] | None = None) -> None:
    """Sends one message; raises OSError when nobody is there."""
    tensors = tensors or []
    described = [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]
    connection.send_bytes(json.dumps({"header": header, "tensors": described}).encode())
    for tensor in tensors:
        connection.send_bytes(tensor.data)


def receive(connection: Connection) -> Message:
    """Blocks until a message is there; raises EOFError or OSError when there will be none."""
    envelope = json.loads(connection.recv_bytes())
    tensors = [Tensor(name, dtype, tuple(shape), connection.recv_bytes()) for name, dtype, shape in envelope["tensors"]]
    return Message(envelope["header"], tensors)
