"""What a device says of itself beside a trial: a trial on one that throttles is not a trial on one that does not."""

from typing import TypeAlias

Reading: TypeAlias = str | float | list[str]


def state(device: str) -> dict[str, Reading]:
    """Clocks, temperature and throttling by name, units in the names; nothing of a CPU.

    Args:
        device: in the words of a case.
    """
    del device  # no device but the CPU yet
    return {}
