"""A macOS process's own memory: its physical footprint, from libproc.

Sources: <sys/resource.h> for struct rusage_info_v4, <libproc.h> for proc_pid_rusage; the interval's maximum is reset by
proc_reset_footprint_interval.
"""

import ctypes
import os
from dataclasses import dataclass

PEAK_SOURCE = "phys_footprint_peak"

_RUSAGE_INFO_V4 = 4


class _RusageInfoV4(ctypes.Structure):
    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        (
            "before_resident_size",
            ctypes.c_uint64 * 6,
        ),  # user and system time, two kinds of wake-ups, page-ins, wired size
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("before_interval_max", ctypes.c_uint64 * 25),  # start time ... serviced energy
        ("interval_max_phys_footprint", ctypes.c_uint64),
        ("runnable_time", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class Figures:
    """In bytes: the highest footprint of the interval, and what is resident now."""

    peak_bytes: int
    rss_bytes: int


class Interval:
    """Begins with the peak at the present footprint."""

    def __init__(self) -> None:
        _check(_libproc().proc_reset_footprint_interval(os.getpid()))

    def read(self) -> Figures:
        """The figures so far."""
        usage = _RusageInfoV4()
        _check(_libproc().proc_pid_rusage(os.getpid(), _RUSAGE_INFO_V4, ctypes.byref(usage)))
        return Figures(peak_bytes=usage.interval_max_phys_footprint, rss_bytes=usage.resident_size)


def _libproc() -> ctypes.CDLL:
    return ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), "libproc")
