"""Archives from strangers: held against bounds before anything in them is believed, unpacked into one folder."""

import errno
import io
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

ONNX_MODEL = "model.onnx"
"""In the archive of an ONNX model, whose tensors have their data in files beside it, as beyond 2 GiB they must."""

MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO = 100
"""Unpacked over packed size, of all members together."""
_FREE_BYTES = 1 << 20
"""What any archive may unpack to, however small it is itself."""
_MAX_INDEX_BYTES = 512 * MAX_MEMBERS
_CHUNK_BYTES = 1 << 20
_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
# What zipfile raises on damaged or hostile bytes.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)

_NO_FAULT_OF_ITS_OWN = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.EACCES)


class ArchiveError(ValueError):
    """The archive is none, is damaged, or breaks a bound; the message is one line that does not name the file."""


def is_archive(file: Path) -> bool:
    """Whether it calls itself a zip archive, be it one that is refused."""
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # one of several disks
        return True


@contextmanager
def opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, open for reading, when all that its index says is within bounds.

    Raises:
        ArchiveError: it is not, or the bytes of a member turn out to be damaged while they are read.
        OSError: it is not the archive's fault: there is no such file, or no room on the disk.
    """
    try:
        with _File(archive) as file, zipfile.ZipFile(file) as content:
            file.longest_read = sys.maxsize
            _check(content.infolist(), file.size_bytes)
            yield content
    except ArchiveError:
        raise
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in _NO_FAULT_OF_ITS_OWN:
            raise
        raise ArchiveError(f"not a zip archive that can be read ({' '.join(str(error).split())})") from error


def check(archive: Path) -> tuple[str, ...]:
    """The names of the archive's members, each a path below its folder; none is read.

    Raises:
        ArchiveError: as `opened`.
    """
    with opened(archive) as content:
        return tuple(content.namelist())


def unpack(archive: Path, folder: Path) -> None:
    """Writes the archive's files below `folder`, which is empty and nobody else's; nothing is ever overwritten.

    Raises:
        ArchiveError: as `opened`; what was written before stays.
    """
    with opened(archive) as content:
        for member in content.infolist():
            target = folder / PurePosixPath(member.filename)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(member) as source, target.open("xb") as written:
                shutil.copyfileobj(source, written, _CHUNK_BYTES)


class _File(io.FileIO):
    """A file of which `zipfile` gets no more at once than an index may have: it reads the whole of one, of any size."""

    longest_read = _MAX_INDEX_BYTES

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.size_bytes = path.stat().st_size

    def read(self, size: Any = -1) -> bytes:
        wanted = self.size_bytes - self.tell() if size is None or size < 0 else size
        if wanted > self.longest_read:
            raise ArchiveError(f"more than {MAX_MEMBERS} files are in it")
        return super().read(size) or b""


def _check(members: Sequence[zipfile.ZipInfo], size_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise ArchiveError(f"more than {MAX_MEMBERS} files are in it")
    unpacked_bytes = sum(member.file_size for member in members)
    if unpacked_bytes > min(MAX_UNPACKED_BYTES, _FREE_BYTES + MAX_RATIO * size_bytes):
        bounds = f"at most {MAX_UNPACKED_BYTES} and {MAX_RATIO} times its {size_bytes} bytes are taken"
        raise ArchiveError(f"it unpacks to {unpacked_bytes} bytes; {bounds}")
    files: set[PurePosixPath] = set()
    for member in members:
        _check_kind(member)
        path = _path(member)
        if member.is_dir():
            continue
        if path in files:
            raise ArchiveError(f"{_shown(member)} is in it twice")
        files.add(path)
    folders = {folder for path in files for folder in path.parents}
    for path in files & folders:
        raise ArchiveError(f"{str(path)[:80]!r} is both a file and a folder in it")


def _check_kind(member: zipfile.ZipInfo) -> None:
    if stat.S_IFMT(member.external_attr >> 16) not in _KINDS:
        raise ArchiveError(f"{_shown(member)} in it is a link or no file at all")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        raise ArchiveError(f"{_shown(member)} in it is encrypted, or compressed in a way that is not taken")


def _path(member: zipfile.ZipInfo) -> PurePosixPath:
    """The member's place in the folder; raises ArchiveError where that is not below it."""
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or not name.isprintable():
        raise ArchiveError(f"the name {_shown(member)} in it leaves its folder")
    return path


def _shown(member: zipfile.ZipInfo) -> str:
    return repr(member.filename[:80])
