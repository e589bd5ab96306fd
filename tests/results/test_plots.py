"""The PNG plots of a report: which there are, what they leave out, that they are drawn whatever names hold."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report.html.curves import Curves
from orchestrator.report.plots.content import MOST_ROWS, NAMES, Dots, Heat, plots
from orchestrator.report.plots.drawing import draw
from orchestrator.results.schema import MemorySample, Row
from orchestrator.results.summary import CaseSummary, summarise
from tests.results import rows

MARKUP = "$\\frac{1}{ <b>_ \u4e2d"


def _memory(**fields: Any) -> Row:
    row = rows.memory(2**28, **fields)
    assert row.memory is not None
    timeline = tuple(MemorySample(at_ns=10**8 * step, rss_bytes=2**24 * step) for step in range(9))
    return row.model_copy(update={"memory": row.memory.model_copy(update={"timeline": timeline})})


def _campaign(model: str) -> tuple[list[CaseSummary], Curves]:
    """A source and its conversion, with all that is drawn."""
    fields: dict[str, Any] = {"model": model}
    source = [*rows.steady_trials(40_000, trials=2, **fields | rows.SOURCE), _memory(**fields | rows.SOURCE)]
    converted = [*rows.steady_trials(10_000, trials=2, seed=1, **fields), _memory(**fields)]
    answers = [rows.check(**fields | rows.SOURCE), rows.check(**fields), rows.attack([True] * 9, [False] * 9, **fields)]
    curves = Curves()
    return summarise(curves.watch([*source, *converted, *answers])), curves


def _pixels(path: Path) -> tuple[int, int]:
    start = path.read_bytes()[:24]
    assert start.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", start[16:])
    return width, height


@pytest.mark.parametrize("model", ["lenet5", MARKUP])
def test_a_campaign_has_a_plot_for_all_that_it_measured(model: str, tmp_path: Path) -> None:
    found = plots(*_campaign(model))
    assert [plot.name for plot in found] == list(NAMES)
    assert not any(plot.note for plot in found)
    draw(found, tmp_path)
    assert all(_pixels(tmp_path / f"{name}.png")[0] == 1210 for name in NAMES)


def test_of_thousands_of_cases_few_are_drawn_and_the_rest_is_counted(tmp_path: Path) -> None:
    (source, converted), _ = _campaign("lenet5")
    cases = [
        replace(case, model=f"network{number // 50:02}", batch_size=1 + number % 50, attacks=())
        for number in range(1000)
        for case in (source, converted)
    ]
    found = {plot.name: plot for plot in plots(cases, Curves())}
    latency, ratio, fidelity = found["latency"], found["ratio"], found["fidelity"]
    assert isinstance(latency, Dots)
    assert isinstance(ratio, Dots)
    assert isinstance(fidelity, Heat)
    assert len(latency.rows) == MOST_ROWS
    assert latency.rows[:2] == ("network00 from keras, batch 1", "network00 from keras, batch 50")
    assert latency.note.startswith(f"{2 * MOST_ROWS} of 2,000 drawn")
    assert ratio.note.startswith(f"{MOST_ROWS} of 1,000 drawn")
    draw(list(found.values()), tmp_path)
    assert all(_pixels(tmp_path / f"{name}.png")[1] < 2000 for name in found)


def test_nothing_measured_is_no_plot() -> None:
    assert plots([], Curves()) == []
