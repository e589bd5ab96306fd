"""A real browser, and campaigns whose pages it opens."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.browser import chromium, launch
from orchestrator.errors import Stage
from orchestrator.report.html.curves import Curves
from orchestrator.report.html.page import page as report_page
from orchestrator.results import claims
from orchestrator.results.claims import Judged
from orchestrator.results.schema import Campaign, MemorySample, Row
from orchestrator.results.summary import CaseSummary, measure, summarise
from tests.results import rows

MARKUP = "</script><img src=x onerror=\"document.title='executed'\">{{ 7 * 7 }}"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
CAMPAIGN = Campaign(
    name=f"tried {MARKUP}",
    created_at="2026-01-01T00:00:00+00:00",
    suite={},
    inventory={},
    versions={"numpy": "2.2.6", MARKUP: MARKUP},
    runners={"local/keras-cpu": {"cpu": "one"}, "box/onnxruntime-cuda": {"cpu": f"another {MARKUP}"}},
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as Debian has it, or the one that PORTBENCH_CHROMIUM names."""
    if chromium() is None:
        pytest.skip("no Chromium here: install the package chromium or name one in PORTBENCH_CHROMIUM")
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of two networks, one with markup for a name, with everything that a page shows."""
    found = [row for model in ("lenet5", MARKUP) for row in _network(model)]
    measured = measure(found)
    cases = [case.summary for case in measured]
    return written(tmp_path_factory.mktemp("small"), found, cases, claims.judge(measured))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 cases of 40 networks; their figures are those of a few, for intervals take long to compute."""
    source, converted = summarise(_pair("lenet5"))
    cases, trials = [], []
    for number in range(1000):
        place: dict[str, Any] = {"model": f"network{number // 25:02}", "batch_size": 1 + number % 25}
        slower = replace(converted, median_ns=(converted.median_ns or 0) * (1 + number / 1000))
        cases += [replace(source, **place), replace(slower, **place)]
        trials += [rows.timing([40_000 + number] * 40, **rows.SOURCE, **place), rows.timing([9_000] * 40, **place)]
    return written(tmp_path_factory.mktemp("large"), trials, cases)


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a window of its own; the test fails when the browser complains or asks for anything but the file."""
    settings: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
    window = context.new_page()
    complaints: list[str] = []
    window.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on(
        "request", lambda asked: complaints.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None
    )
    yield window
    context.close()
    assert not complaints


def written(folder: Path, of_trials: list[Row], cases: list[CaseSummary], judged: Sequence[Judged] = ()) -> Path:
    """The page about them."""
    curves = Curves()
    assert len(list(curves.watch(of_trials))) == len(of_trials)
    path = folder / "report.html"
    path.write_text(report_page(CAMPAIGN, cases, curves, judged), encoding="utf-8")
    return path


def _pair(model: str) -> list[Row]:
    """A network on its own runtime and converted, timed with one batch size."""
    source = [rows.check(model=model, **rows.SOURCE), *rows.steady_trials(40_000, model=model, **rows.SOURCE)]
    return [*source, rows.check(model=model), *rows.steady_trials(10_000, seed=1, model=model)]


def _network(model: str) -> list[Row]:
    """The pair with memory, attacks, a GPU, wrong answers and failures."""
    gpu: dict[str, Any] = {"device": "cuda:0", "host": "box", "runner": "onnxruntime-cuda", "host_fingerprint": "beef"}
    fooled = [True] * 20 + [False] * 20
    return [
        *_pair(model),
        _memory(2**29, model=model, **rows.SOURCE),
        _memory(2**27, model=model),
        rows.attack(fooled, fooled, model=model, **rows.SOURCE),
        rows.attack(fooled, [True] * 30 + [False] * 10, model=model),
        rows.attack([], [], name="pgd", model=model, outcome={**rows.FAILURE, "stage": Stage.ATTACK}),
        rows.check(model=model, **gpu),
        *rows.steady_trials(2_000, seed=2, trials=1, model=model, **gpu),
        rows.row("check", rows.wrong(), model=model, precision="float16", batch_size=None, threads=None),
        rows.row("timing", {**rows.FAILURE, "message": f"ended after 1 s {MARKUP}"}, model=model, batch_size=64),
    ]


def _memory(peak_bytes: int, **fields: Any) -> Row:
    row = rows.memory(peak_bytes // 4, peak_bytes // 2, peak_bytes // 2, peak_bytes // 2, peak_bytes, **fields)
    assert row.memory is not None
    timeline = tuple(MemorySample(at_ns=10**8 * step, rss_bytes=peak_bytes * step // 20) for step in range(1, 20))
    return row.model_copy(update={"memory": row.memory.model_copy(update={"timeline": timeline})})
