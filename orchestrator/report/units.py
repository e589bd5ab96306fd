"""Figures and names as people read them: three significant digits and a unit, "-" for what is not known."""

from collections.abc import Sequence

UNKNOWN = "-"
_TIME_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SIZE_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def literal(text: str) -> str:
    """On one line and without control characters: a name in a foreign results folder must not steer the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in " ".join(text.split())
    )


def duration(value_ns: float | None) -> str:
    """39_100 -> "39.1 us"."""
    return _scaled(value_ns, _TIME_UNITS)


def size(value_bytes: float | None) -> str:
    """241_664 -> "242 kB", decimal units."""
    return _scaled(value_bytes, _SIZE_UNITS)


def share(value: float | None) -> str:
    """0.978 -> "97.8 %"; only 1 is "100 %", and only 0 is "0 %"."""
    if value is None:
        return UNKNOWN
    percent = 100 * value
    text = f"{percent:.3g}"
    if text == "100" and value != 1:
        text = "99.9" if value < 1 else "100.1"
    return f"{text} %"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """The farther end of a 95 % interval as a share of the value: (100, 99, 103) -> "±3%"."""
    if not value or low is None or high is None:
        return ""
    percent = 100 * max(high - value, value - low) / value
    return f"±{percent:.1f}%" if percent < 9.95 else f"±{percent:.0f}%"


def ratio(value: float | None) -> str:
    """0.4187 -> "0.42x"."""
    if value is None:
        return UNKNOWN
    return f"{value:.2f}x" if value < 9.995 else f"{_significant(value)}x"


def bar(share: float, width: int) -> str:
    """A bar of block characters, `width` of them at a share of 1 and never more: (0.28, 2) -> "▌"."""
    whole, eighths = divmod(round(8 * width * min(share, 1.0)), 8)
    return f"{_EIGHTHS[-1] * whole}{_EIGHTHS[eighths]}".rstrip()


def _scaled(value: float | None, units: Sequence[tuple[float, str]]) -> str:
    if value is None:
        return UNKNOWN
    # 999.6 of a unit would be rounded to 1000
    factor, unit = next((step for step in units if value >= 0.9995 * step[0]), units[-1])
    return f"{value:.3g} {unit}" if factor == 1 else f"{_significant(value / factor)} {unit}"


def _significant(value: float) -> str:
    """Three significant digits, never an exponent."""
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f}"
