"""What is asked of a `.tflite` model before LiteRT sees it: an artifact is one file, so no weights lie in another."""

import mmap
import struct
from pathlib import Path

from runners.failure import Failure

_EXTERNAL_BUFFER_GROUPS = 8
"""Number of the field of schema.fbs's Model that names other files."""


def check(path: Path) -> None:
    """Asks a model whether all of its buffers lie in the model itself.

    Only the table of the root's fields is looked into: its offset is the file's first number, it begins as many bytes
    before the root as the root's first number says, and has its size, the root's, and for each field an offset or 0.

    Raises:
        Failure: load, refused: weights lie elsewhere, or the file is no FlatBuffer.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            (root,) = struct.unpack_from("<I", content)
            (distance,) = struct.unpack_from("<i", content, root)
            (size,) = struct.unpack_from("<H", content, root - distance)
            fields = struct.unpack_from(f"<{size // 2 - 2}H", content, root - distance + 4)
    except (struct.error, ValueError) as error:
        raise Failure("load", "refused", f"the artifact is no model of LiteRT ({error}); convert it again") from error
    if any(fields[_EXTERNAL_BUFFER_GROUPS : _EXTERNAL_BUFFER_GROUPS + 1]):
        message = "weights of the model lie in another file, and an artifact is one file; convert it whole"
        raise Failure("load", "refused", message)
