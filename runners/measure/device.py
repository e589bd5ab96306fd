"""What a device says of itself beside a trial: a trial on one that throttles is not a trial on one that does not."""

import sys
from collections.abc import Mapping
from typing import TypeAlias

from runners.measure import cuda

if sys.platform == "darwin":
    from runners.measure import thermal

Reading: TypeAlias = str | float | list[str]


def state(device: str) -> dict[str, Reading]:
    """Clocks, temperature and throttling by name, units in the names; of a Mac as a whole, nothing of another's CPU.

    Args:
        device: in the words of a case.
    """
    if sys.platform == "darwin":
        return {**thermal.state()}
    return {**cuda.state(device)} if device.startswith("cuda:") else {}


def delta_bytes(before: Mapping[str, Reading], after: Mapping[str, Reading]) -> int:
    """By how much more of the device's memory was in use in the second state, whoever uses it; at least 0."""
    used = [read.get("memory_used_bytes") for read in (before, after)]
    return max(0, round(used[1] - used[0])) if isinstance(used[0], float) and isinstance(used[1], float) else 0


def remedy(device: str) -> str:
    """What to do when a runtime does not have `device`."""
    return cuda.remedy(device) if device.startswith("cuda:") else "choose one that it has"
