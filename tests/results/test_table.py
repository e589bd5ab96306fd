from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from orchestrator.errors import Stage
from orchestrator.report import units
from orchestrator.report.table import table
from orchestrator.results.summary import CaseSummary, summarise
from tests.results import rows


def _print(cases: list[CaseSummary], width: int = 100) -> str:
    stream = StringIO()
    Console(file=stream, width=width).print(table(cases))
    return stream.getvalue()


def _campaign() -> list[CaseSummary]:
    conversion = rows.FAILURE | {"stage": Stage.CONVERT, "message": "no such operator"}
    return summarise(
        [
            rows.check(**rows.SOURCE),
            rows.check(),
            *rows.steady_trials(80_000, seed=1, **rows.SOURCE),
            *rows.steady_trials(40_000),
            rows.memory(101_600_000),
            rows.timing([5_000_000] * 800, batch_size=32),
            *rows.steady_trials(1_234_567, model="vgg"),
            rows.check(rows.wrong(), model="vgg"),
            rows.artifact(format="coreml"),
            rows.check(format="coreml", runtime="coreml-reference", runner="coreml-reference"),
            rows.artifact(conversion, model="gru", artifact_sha256=None),
        ]
    )


def _line(page: str, start: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(start))


def test_table_fits_and_says_what_matters() -> None:
    page = _print(_campaign())
    assert max(map(len, page.splitlines())) <= 100
    onnx = _line(page, "onnx/onnxruntime")
    for figure in ("97.5 %", "100 %", "242 kB", "12.0 ms", "us ±", "0.50x ██ ", "102 MB", " ok"):
        assert figure in onnx
    assert "base ████ " in _line(page, "keras/keras")
    assert "lenet5 from keras (digits), on local, cpu" in page


def test_problems_are_marked_in_words_and_explained_below() -> None:
    page = _print(_campaign())
    table_of, below = page.split("agrees:")
    for mark in ("unstable", "WRONG", "FAILED", "checked"):
        assert mark in table_of
    flat = " ".join(below.split())
    assert "unstable lenet5 from keras, onnx/onnxruntime, batch 32: one trial only" in flat
    assert "WRONG vgg from keras, onnx/onnxruntime, batch 1: answers are NaN" in flat
    assert "FAILED gru from keras, onnx: convert timeout: no such operator" in flat
    assert "note lenet5 from keras, coreml/coreml-reference: answers checked" in flat


@pytest.mark.parametrize("width", [20, 40, 60, 80, 99, 100, 200])
def test_every_width_is_readable(width: int) -> None:
    page = _print(_campaign(), width)
    assert max(map(len, page.splitlines())) <= width
    flat = "".join(page.split())
    for figure in ("97.5%", "0.50x", "102MB", "±", "FAILED", "nosuchoperator"):
        assert figure in flat
    assert "…" not in page


def test_extreme_figures_fit() -> None:
    case = _campaign()[1]
    extreme = replace(
        case,
        batch_size=100_000,
        load_ns=999.6e9,
        first_ns=9.996e12,
        median_ns=123e6,
        median_high_ns=99e9,
        ratio_to_source=12_345.6,
        peak_bytes=123e15,
        precision="float16",
    )
    page = _print([extreme, replace(extreme, threads=64)])
    assert max(map(len, page.splitlines())) <= 100
    assert "float16" in page
    assert "64 threads" in page


@pytest.mark.parametrize("width", [60, 100])
def test_markup_and_control_characters_are_printed_literally(width: int) -> None:
    hostile = "[red]x[/red]"
    case = replace(_campaign()[1], model=hostile, status="failed", message=f"{hostile} \x1b[31mred\nnext :smile: [/]")
    page = _print([case], width)
    assert f"{hostile} from keras" in page
    assert "\x1b" not in page
    assert "[31mred next :smile: [/]" in " ".join(page.split())


def test_shared_problem_is_told_once() -> None:
    case = replace(_campaign()[1], status="failed", message="the runner is gone")
    page = _print([replace(case, batch_size=batch) for batch in (1, 2, 3)])
    assert page.count("the runner is gone") == 1
    assert "batch 1 and 2 more" in page


def test_empty_campaign_says_so() -> None:
    assert "No results yet" in _print([])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 ns"),
        (39, "39 ns"),
        (999.4, "999 ns"),
        (999.6, "1.00 us"),
        (39_149, "39.1 us"),
        (1.5e9, "1.50 s"),
        (7.2e12, "7200 s"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    assert units.duration(value) == text


@pytest.mark.parametrize(
    ("share", "bar"), [(0, ""), (0.07, "▌"), (0.5, "████"), (0.99, "███████▉"), (1, "████████"), (70, "████████")]
)
def test_bars(share: float, bar: str) -> None:
    assert units.bar(share, 8) == bar


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1, "100 %"), (0.99999, "99.9 %"), (0.9777, "97.8 %"), (0, "0 %"), (0.00005, "0.005 %")],
)
def test_only_all_is_a_hundred_per_cent(value: float | None, text: str) -> None:
    assert units.share(value) == text
