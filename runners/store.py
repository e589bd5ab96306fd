"""The runner's artifacts and inputs on its disk, each under its owner and its SHA-256, within a limit of bytes."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from runners.failure import Failure

DEFAULT_LIMIT_BYTES = 20 << 30
LEAST_BYTES = 64 << 10
"""What a file counts for at least, so that very many small ones are bounded too."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming-"
_LOCK = ".lock"


class StoreError(Exception):
    """The folder cannot be used; the message is one line."""


class Lease:
    """Paths of one owner's files, none of which is removed before the lease ends."""

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of

    def path(self, sha256: str) -> Path:
        """Where the artifact is.

        Raises:
            Failure: ship, refused: it never came from this owner, or was removed since.
        """
        return self._path_of(sha256)


class Store:
    """Files `folder`/<owner>/<sha256>; each is complete and right from the moment it has its name. Paths are absolute.

    Who put an artifact is its owner, and nobody else's: to know a SHA-256 is not to have the artifact. When there is no
    room for a new one, those that were not used for longest go, whoever owns them.

    Args:
        folder: made if it is not there. What interrupted uploads left in it is removed.
        limit_bytes: that all artifacts together may have.

    Raises:
        StoreError: another runner uses the folder.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._held = _hold(self._folder)
        self._leases: Counter[Path] = Counter()
        self._reserved_bytes = 0
        self._bytes: OrderedDict[Path, int] = OrderedDict(_found(self._folder))
        """Of each artifact, the least recently used first."""

    def close(self) -> None:
        """Lets another runner have the folder."""
        os.close(self._held)

    def has(self, owner: str, sha256: str) -> bool:
        """Whether the artifact is here, which counts as a use of it."""
        with self._lock:
            return self._use(self._path(owner, sha256))

    @contextmanager
    def lease(self, owner: str) -> Iterator[Lease]:
        """Keeps what is asked for by it until the end of the context."""
        leased: list[Path] = []

        def path_of(sha256: str) -> Path:
            path = self._path(owner, sha256)
            with self._lock:
                if not self._use(path):
                    raise _refused(f"artifact {sha256} is not on this runner; put it first")
                self._leases[path] += 1
            leased.append(path)
            return path

        try:
            yield Lease(path_of)
        finally:
            with self._lock:
                self._leases.subtract(leased)
                self._leases += Counter()  # forgets those that nobody leases

    @contextmanager
    def upload(self, owner: str, sha256: str, size_bytes: int) -> Iterator[Callable[[Iterable[bytes]], None]]:
        """Makes room; gives what then writes chunks while it counts and hashes them.

        Raises:
            Failure: ship, refused: it is bigger than the store or the disk may hold, or it comes with another size or
                hash; nothing is kept. Ship, unavailable: what is in use leaves no room.
        """
        path = self._path(owner, sha256)
        taken_bytes = max(size_bytes, LEAST_BYTES)
        with self._lock:
            self._make_room(sha256, taken_bytes)
            self._reserved_bytes += taken_bytes

        def write(chunks: Iterable[bytes]) -> None:
            self._receive(path, size_bytes, chunks)
            with self._lock:
                self._bytes[path] = taken_bytes
                self._bytes.move_to_end(path)

        try:
            yield write
        except OSError as error:
            words = f"artifact {sha256} cannot be written ({error.strerror}); free some of the runner's disk"
            raise Failure("ship", "unavailable" if error.errno == errno.ENOSPC else "crash", words) from error
        finally:
            with self._lock:
                self._reserved_bytes -= taken_bytes

    def _receive(self, path: Path, size_bytes: int, chunks: Iterable[bytes]) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_INCOMING, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                received_bytes, received_sha256 = _copy(chunks, file.write, size_bytes)
            if received_bytes != size_bytes:
                raise _refused(
                    f"artifact {path.name} was announced with {size_bytes} bytes, {received_bytes} came; send it again"
                )
            if received_sha256 != path.name:
                raise _refused(f"artifact {path.name} arrived with SHA-256 {received_sha256}; send it again")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _make_room(self, sha256: str, wanted_bytes: int) -> None:
        """Removes what was not used for longest, unless even that were not enough."""
        idle = [path for path in self._bytes if not self._leases[path]]
        idle_bytes = sum(self._bytes[path] for path in idle)
        free_bytes = shutil.disk_usage(self._folder).free
        holds_bytes = min(self._limit_bytes, free_bytes + idle_bytes)
        if wanted_bytes > holds_bytes:
            raise _refused(
                f"artifact {sha256} has {wanted_bytes} bytes, the runner's store has room for {holds_bytes}; free some "
                "of its disk, or raise --store-limit where the runner is started"
            )
        used_bytes = sum(self._bytes.values()) + self._reserved_bytes
        if used_bytes - idle_bytes + wanted_bytes > self._limit_bytes:
            raise Failure(
                "ship",
                "unavailable",
                f"the runner's store is full of what other calls use, artifact {sha256} with {wanted_bytes} bytes has "
                "no room; try again when they are done, or raise --store-limit where the runner is started",
            )
        missing_bytes = wanted_bytes - min(self._limit_bytes - used_bytes, free_bytes)
        for path in idle:
            if missing_bytes <= 0:
                return
            path.unlink(missing_ok=True)
            missing_bytes -= self._bytes.pop(path)

    def _use(self, path: Path) -> bool:
        """Notes that the artifact is used now, if it is here; its file keeps the time for the runner's next start."""
        if path not in self._bytes:
            return False
        try:
            os.utime(path)
        except FileNotFoundError:
            del self._bytes[path]
            return False
        self._bytes.move_to_end(path)
        return True

    def _path(self, owner: str, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise _refused(f"{sha256!r} is not a SHA-256 in lower-case hexadecimal")
        return self._folder / owner / sha256


def _hold(folder: Path) -> int:
    """A descriptor that keeps other runners out of the folder for as long as it is open."""
    held = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise StoreError(f"another runner keeps its artifacts in {folder}; give this one '--store DIR'") from None
    return held


def _found(folder: Path) -> list[tuple[Path, int]]:
    """The artifacts of earlier runs and what they count for, the least recently used first."""
    for path in folder.iterdir():
        if path.is_file() and (path.name.startswith(_INCOMING) or _SHA256.fullmatch(path.name)):
            path.unlink()  # of an interrupted upload, or from before artifacts had owners
        elif path.is_dir():
            with suppress(OSError):
                path.rmdir()  # if it is empty
    found = [path for path in folder.glob("*/*") if _SHA256.fullmatch(path.name)]
    described = sorted((path.stat().st_mtime_ns, path, path.stat().st_size) for path in found)
    return [(path, max(size, LEAST_BYTES)) for _, path, size in described]


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
