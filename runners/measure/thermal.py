"""Whether a Mac is throttled: by its heat, or by its low-power mode.

Source: NSProcessInfo of Foundation, `thermalState` and `lowPowerModeEnabled`, asked through the Objective-C runtime.
"""

import ctypes
from typing import Any

STATES = ("nominal", "fair", "serious", "critical")
"""By the numbers of NSProcessInfoThermalState."""

_FOUNDATION = "/System/Library/Frameworks/Foundation.framework/Foundation"


def state() -> dict[str, str | float]:
    """`thermal_state`, one of STATES, and `low_power_mode`."""
    library = ctypes.CDLL(_FOUNDATION)  # with it comes the Objective-C runtime
    process_info = _function(library, "objc_getClass", ctypes.c_void_p, ctypes.c_char_p)(b"NSProcessInfo")
    process = _send(library, process_info, b"processInfo")
    return {
        "thermal_state": STATES[_send(library, process, b"thermalState", ctypes.c_long)],
        "low_power_mode": _send(library, process, b"isLowPowerModeEnabled", ctypes.c_bool),
    }


def _send(library: Any, receiver: int, message: bytes, result: Any = ctypes.c_void_p) -> Any:
    selector = _function(library, "sel_registerName", ctypes.c_void_p, ctypes.c_char_p)(message)
    return _function(library, "objc_msgSend", result, ctypes.c_void_p, ctypes.c_void_p)(receiver, selector)


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Anew for each result type: on Apple silicon a message is a call of exactly its method's type."""
    function = library[name]
    function.restype, function.argtypes = result, arguments
    return function
