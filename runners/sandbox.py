"""What a worker may no more: set by itself before it imports a framework, irrevocable, and inherited by what it starts.

An artifact may turn a framework against its process. That process then still has no core files, no end of memory, of
files or of their size, no new privileges and, where the kernel has Landlock (Linux 5.13; see landlock(7)): no file to
write to but those in its own temporary folder, none to read in the home folder and in the store but what it was given,
no TCP (6.7), no signals to and no abstract Unix sockets of processes outside (6.12). UDP, and programs that
anybody may execute, are not kept from it. It costs nothing that is timed: the kernel asks these questions when files
are opened and connections made.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY_SHARE = 0.75
"""Of the machine's memory that a worker may have, in a container or not: beyond it an allocation fails."""
_LARGEST_FILE_BYTES = 16 << 30
_OPEN_FILES = 4096

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIR
_ALL = _OF_FILES | _READ_DIR | _REMOVE_AND_MAKE | _REFER
_FROM_ABI = {_REFER: 2, _TRUNCATE: 3}
_TCP = 1 << 0 | 1 << 1  # to bind and to connect
_TCP_ABI = 4
_SCOPE = 1 << 0 | 1 << 1  # abstract Unix sockets, signals
_SCOPE_ABI = 6

_DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "nvidia*", "nvidia-caps/*")
"""Of /dev, what a worker may write to: it is what every process has, and GPUs."""
_CODE = Path(__file__).resolve().parents[1]


def enter(temporary: Path, given: Sequence[Path]) -> None:
    """Takes away from this process what a worker does not need.

    Args:
        temporary: the folder that it may write to.
        given: files of the store, `store`/<owner>/<name>, that it may read; what else is in the store it may not.
    """
    _limit()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if (abi := landlock_abi()) > 0:
            _restrict(abi, temporary, given)


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))))


def _limit() -> None:
    """Lest a runtime that allocates without end takes the machine down with it.

    What counts is the memory that the process may write to (RLIMIT_DATA), not the addresses that allocators and GPU
    drivers reserve by the terabyte.
    """
    bounds = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: _OPEN_FILES, resource.RLIMIT_FSIZE: _LARGEST_FILE_BYTES}
    if sys.platform == "linux":
        bounds[resource.RLIMIT_DATA] = int(_MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES")) * resource.getpagesize()
    for kind, wanted in bounds.items():
        _, most = resource.getrlimit(kind)
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (bound, bound))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _restrict(abi: int, temporary: Path, given: Sequence[Path]) -> None:
    handled = _ALL & ~sum(right for right, since in _FROM_ABI.items() if abi < since)
    ruleset = _Ruleset(handled, _TCP if abi >= _TCP_ABI else 0, _SCOPE if abi >= _SCOPE_ABI else 0)
    size = 24 if abi >= _SCOPE_ABI else 16 if abi >= _TCP_ABI else 8
    descriptor = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))

    def allow(path: Path, rights: int) -> None:
        with suppress(FileNotFoundError, PermissionError), _held(path) as parent:  # what cannot be opened needs no rule
            rights &= handled if path.is_dir() else handled & _OF_FILES
            _call(_ADD_RULE, descriptor, _PATH_BENEATH, ctypes.byref(_Beneath(rights, parent)), ctypes.c_uint32(0))

    os.open("/proc/self", os.O_PATH | os.O_CLOEXEC)  # for good: the kernel may forget a folder there that nobody holds
    allow(Path("/proc/self"), _READ | _WRITE_FILE | _TRUNCATE)  # the peak of memory is reset by writing there
    allow(temporary, _ALL)
    for pattern in _DEVICES:
        for device in Path("/dev").glob(pattern):
            allow(device, _ALL)
    stores = [path.resolve().parents[1] for path in given]
    for path in (*_readable([Path.home().resolve(), *stores]), *given):
        allow(path, _READ)
    _call(_RESTRICT_SELF, descriptor, ctypes.c_uint32(0))
    os.close(descriptor)


def _readable(hidden: list[Path]) -> Iterator[Path]:
    """Everything but what is below the hidden folders; of that, Python, its modules and its libraries."""
    yield from _around(Path("/"), hidden)
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    yield from map(Path, {sys.prefix, sys.base_prefix, *filter(None, (*sys.path, *libraries))})
    yield _CODE


def _around(folder: Path, hidden: list[Path]) -> Iterator[Path]:
    with suppress(PermissionError):
        for entry in folder.iterdir():
            if entry in hidden or entry.is_symlink():  # a link leads to what is seen anyway, or is hidden
                continue
            if any(path.is_relative_to(entry) for path in hidden):
                yield from _around(entry, hidden)
            else:
                yield entry


@contextmanager
def _held(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
