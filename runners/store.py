"""The runner's artifacts and inputs on its disk, each under its SHA-256."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runners.failure import Failure

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Store:
    """Files `folder`/<sha256>; each is complete and right from the moment it has its name. Its paths are absolute."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()

    def has(self, sha256: str) -> bool:
        """Whether the artifact is here."""
        return self._path(sha256).exists()

    def path(self, sha256: str) -> Path:
        """Where the artifact is.

        Raises:
            Failure: ship, refused: it never came.
        """
        if not self.has(sha256):
            raise _refused(f"artifact {sha256} is not on this runner; put it first")
        return self._path(sha256)

    def put(self, sha256: str, size_bytes: int, chunks: Iterable[bytes]) -> None:
        """Writes `chunks` while it counts and hashes them.

        Raises:
            Failure: ship, refused: the size or the hash is another one, or the disk has no room; nothing is kept.
        """
        free_bytes = shutil.disk_usage(self._folder).free
        if size_bytes > free_bytes:
            raise _refused(
                f"artifact {sha256} has {size_bytes} bytes, the runner's store has room for {free_bytes}; free some"
            )
        descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                received_bytes, received_sha256 = _copy(chunks, file.write, size_bytes)
            if received_bytes != size_bytes:
                raise _refused(
                    f"artifact {sha256} was announced with {size_bytes} bytes, {received_bytes} came; send it again"
                )
            if received_sha256 != sha256:
                raise _refused(f"artifact {sha256} arrived with SHA-256 {received_sha256}; send it again")
            Path(name).replace(self._path(sha256))
        finally:
            Path(name).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise _refused(f"{sha256!r} is not a SHA-256 in lower-case hexadecimal")
        return self._folder / sha256


def _copy(chunks: Iterable[bytes], write: Callable[[bytes], object], limit_bytes: int) -> tuple[int, str]:
    """Bytes written and their SHA-256; stops soon after `limit_bytes`, so that a liar cannot fill the disk.

    A chunk is written and hashed, which leaves Python's lock alone, while the next one arrives.
    """
    size_bytes = 0
    digest = hashlib.sha256()

    def keep(chunk: bytes) -> None:
        write(chunk)
        digest.update(chunk)

    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(keep, b"")
        for chunk in chunks:
            kept.result()
            kept = pool.submit(keep, chunk)
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                break
        kept.result()
    return size_bytes, digest.hexdigest()


def _refused(message: str) -> Failure:
    return Failure("ship", "refused", message)
