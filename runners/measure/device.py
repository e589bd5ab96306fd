"""What a device says of itself beside a trial: a trial on one that throttles is not a trial on one that does not."""

import sys
from typing import TypeAlias

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
    del device  # no device but the CPU yet
    return {}
