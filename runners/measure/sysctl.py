"""What macOS's kernel tells by name, without a process: a server's only child is its worker. See sysctlbyname(3)."""

import ctypes
from typing import Any


def text(name: str) -> str | None:
    """A string of the kernel's; None where it has none of this name."""
    value = _read(name)
    return value.rstrip(b"\0").decode() if value is not None else None


def number(name: str) -> int | None:
    """An integer of the kernel's; None where it has none of this name."""
    value = _read(name)
    return int.from_bytes(value, "little") if value is not None else None


def _read(name: str) -> bytes | None:
    size = ctypes.c_size_t()
    if not _ask(name, None, size):
        return None
    value = ctypes.create_string_buffer(size.value)
    return value.raw[: size.value] if _ask(name, value, size) else None


def _ask(name: str, value: Any, size: ctypes.c_size_t) -> bool:
    """Whether the kernel answered; no other system's C library has the function."""
    function = getattr(_library(), "sysctlbyname", None)
    return function is not None and function(name.encode(), value, ctypes.byref(size), None, ctypes.c_size_t()) == 0


def _library() -> Any:
    return ctypes.CDLL(None)
