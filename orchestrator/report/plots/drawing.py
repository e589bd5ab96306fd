"""Draws plots as PNG files, in a process of its own: see `process`.

Sizes are bounded whatever is drawn, and no text is read as markup: a name may hold dollar signs.
"""

import math
import pickle
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from orchestrator.report.plots.content import Dots, Heat, Panels, Plot, Points

WIDTH_INCHES = 11.0
DPI = 110
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f7f7f")
"""Okabe and Ito's, which colour-blind readers tell apart; each has a marker of its own too."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#dddddd",
    "text.parse_math": False,
    "text.usetex": False,
}


def draw(plots: Sequence[Plot], folder: Path) -> None:
    """Writes `folder/NAME.png` for each.

    Raises:
        OSError: a file cannot be written.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script that the font lacks is drawn as boxes
        for plot in plots:
            figure = _figure(plot)
            figure.savefig(folder / f"{plot.name}.png", dpi=DPI)


def _figure(plot: Plot) -> Figure:
    if isinstance(plot, Dots):
        return _dots(plot)
    return _heat(plot) if isinstance(plot, Heat) else _panels(plot)


def _empty(plot: Plot, height_inches: float) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    note = f"\n{plot.note}" if plot.note else ""
    figure.suptitle(plot.title + note, x=0.01, ha="left", fontsize=10)
    return figure


def _dots(plot: Dots) -> Figure:
    figure = _empty(plot, 1.8 + 0.3 * len(plot.rows) + 0.2 * len(plot.series))
    axes = figure.add_subplot()
    series = [(number, points) for number, points in enumerate(plot.series.values()) if points]
    for number, points in series:
        # Dots of one row beside each other; where each row has a single one they stay on the line.
        apart = 0.0 if plot.reference is not None else 0.7 * ((number + 0.5) / len(plot.series) - 0.5)
        for point in points:
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [point.y + apart] * 2, color=_COLOURS[number], linewidth=1.2)
        at = [point.y + apart for point in points]
        axes.plot([point.x for point in points], at, _MARKERS[number], color=_COLOURS[number], markersize=5)
    if plot.reference is not None:
        axes.axvline(plot.reference, color="#555555", linewidth=1)
    _logarithmic(axes)
    axes.set_yticks(range(len(plot.rows)), plot.rows)
    axes.set_ylim(len(plot.rows) - 0.4, -0.6)
    axes.set_xlabel(plot.axis)
    _legend(figure, list(plot.series), dotted=True)
    return figure


def _panels(plot: Panels) -> Figure:
    columns = min(len(plot.panels), 2)
    lines = -(-len(plot.panels) // columns)
    figure = _empty(plot, 1.2 + 2.8 * lines + 0.2 * len(plot.series))
    scattered = any(panel.levels is None for panel in plot.panels)
    for place, panel in enumerate(plot.panels):
        axes = figure.add_subplot(lines, columns, place + 1)
        for front in panel.fronts:
            axes.step(*_columns(front), where="post", color="#999999", linewidth=1)
        for number, points in panel.points.items():
            line = {"marker": _MARKERS[number], "linestyle": ""} if scattered else {"linewidth": 1.4}
            axes.plot(*_columns(points), color=_COLOURS[number], markersize=6, **line)
        for number, level in (panel.levels or {}).items():
            axes.axhline(level, color=_COLOURS[number], linestyle=":", linewidth=1.4)
        if scattered:
            _logarithmic(axes)
        else:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_title(panel.title, loc="left", fontsize=9)
        axes.set_xlabel(plot.x_axis)
        axes.set_ylabel(plot.y_axis)
    _legend(figure, plot.series, dotted=scattered)
    return figure


def _heat(plot: Heat) -> Figure:
    figure = _empty(plot, 2.6 + 0.3 * len(plot.rows))
    axes = figure.add_subplot()
    axes.grid(visible=False)
    norm, palette = _scale(plot)
    shown = [[math.nan] * len(plot.columns) for _ in plot.rows]
    for (row, column), (value, _) in plot.cells.items():
        shown[row][column] = value if value is not None and (plot.diverging or value > 0) else math.nan
    image = axes.imshow(shown, cmap=palette, norm=norm, aspect="auto")
    for (row, column), (value, text) in plot.cells.items():
        dark = not plot.diverging and value is not None and value > 0 and norm(value) < 0.5
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(plot.columns)), plot.columns, rotation=30, ha="right")
    axes.set_yticks(range(len(plot.rows)), plot.rows)
    plain = FuncFormatter(lambda value, _: f"{value:g}")  # the usual one writes markup
    bar = figure.colorbar(image, ax=axes, label=plot.scale, shrink=0.8, format=plain)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _scale(plot: Heat) -> tuple[Normalize, str]:
    """Purple is less and orange is more; lighter is more where nothing diverges."""
    known = [value for value, _ in plot.cells.values() if value is not None]
    if plot.diverging:
        most = max(map(abs, known), default=0) or 1.0
        return TwoSlopeNorm(0, -2 * most, 2 * most), "PuOr_r"  # pale enough for black figures
    above = [value for value in known if value > 0] or [1.0]
    return LogNorm(min(above) / 2, max(above) * 2), "cividis"


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [point.x for point in points], [point.y for point in points]


def _logarithmic(axes: Axes) -> None:
    """With ticks at 1, 2 and 5, in figures that need no exponent."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = math.log10(high / low) if low > 0 else 1.0
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 4 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, series: Sequence[str], dotted: bool) -> None:
    handles = [
        Line2D(
            [], [], color=_COLOURS[number], marker=_MARKERS[number] if dotted else "", linestyle="" if dotted else "-"
        )
        for number in range(len(series))
    ]
    # A label that begins with an underscore would be left out.
    figure.legend(handles, [f" {name}" for name in series], loc="outside lower left", ncols=2, frameon=False)


def main() -> None:
    """Draws what the process that started this one sends, if it sends anything."""
    try:
        plots, folder = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    except EOFError:
        return
    draw(plots, folder)


if __name__ == "__main__":
    main()
