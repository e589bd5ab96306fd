"""A Linux process's own memory, from procfs. See proc(5)."""

import re
import resource
from dataclasses import dataclass
from pathlib import Path

from runners.failure import Failure, words

PEAK_SOURCE = "VmHWM"

_SELF = Path("/proc/self")
_RESET_PEAK = "5"  # "resets the peak resident set size to the process's current value"
_RSS_FIELD = 21  # of /proc/self/stat, after the name


@dataclass(frozen=True)
class Figures:
    """In bytes: the highest resident size of the interval, and what is resident now."""

    peak_bytes: int
    rss_bytes: int
    pss_bytes: int
    rss_anon_bytes: int


class Interval:
    """Begins with VmHWM at the present resident size.

    The kernel counts pages on each processor and joins these counts in batches of 32 or more. Since Linux 6.16 it adds
    everything up when it is asked for the present size, but it notes the peak without: that lags by up to some hundred
    KiB, mostly by what was already lagging when the interval began, which can be read and is added.

    Raises:
        Failure: measure, unavailable: the kernel does not reset the peak, so it could be an earlier one.
    """

    def __init__(self) -> None:
        try:
            (_SELF / "clear_refs").write_text(_RESET_PEAK)
        except OSError as error:
            message = f"no peak of memory without /proc/self/clear_refs: {words(error)}"
            raise Failure("measure", "unavailable", message) from error
        self._lag_bytes = _kib_fields(_SELF / "status")["VmRSS"] - _lagging_rss_bytes()

    def read(self) -> Figures:
        """The figures so far."""
        status = _kib_fields(_SELF / "status")
        is_over = status["VmHWM"] > status["VmRSS"]
        return Figures(
            peak_bytes=max(status["VmHWM"] + is_over * self._lag_bytes, status["VmRSS"]),
            rss_bytes=status["VmRSS"],
            pss_bytes=_kib_fields(_SELF / "smaps_rollup").get("Pss", 0),
            rss_anon_bytes=status["RssAnon"],
        )


def _lagging_rss_bytes() -> int:
    """The resident size as the kernel counts it for the peak."""
    fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
    return int(fields[_RSS_FIELD]) * resource.getpagesize()


def _kib_fields(file: Path) -> dict[str, int]:
    return {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", file.read_text(), re.MULTILINE)}
