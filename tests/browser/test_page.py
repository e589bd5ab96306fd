"""The page in a real browser: what a reader sees, sorts, filters, opens and prints."""

import json
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import MARKUP, SCREENSHOTS, written

SHOWN = "#table tbody tr:visible"
DARK: dict[str, Any] = {"color_scheme": "dark"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}


def _open(window: Page, report: Path) -> None:
    window.goto(report.as_uri())


def _cells(window: Page, heading: str) -> list[str]:
    """What the rows that are shown have below a heading."""
    headings = [text.strip() for text in window.locator("#table thead th").all_inner_texts()]
    return window.locator(f"{SHOWN} > :nth-child({headings.index(heading) + 1})").all_inner_texts()


def _draw_all(window: Page) -> None:
    """As before printing."""
    window.evaluate("dispatchEvent(new Event('beforeprint'))")


def _violations(window: Page, without: str = "") -> list[tuple[str, str]]:
    """Of the accessibility rules, with the first thing that breaks each."""
    rules = {without: {"enabled": False}} if without else {}
    found = Axe().run(window, options={"resultTypes": ["violations"], "rules": rules}).response
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]


def _chart(window: Page, name: str) -> Locator:
    return window.locator(f"[data-chart={name}]")


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("opened", [{}, DARK, PHONE], ids=["light", "dark", "phone"], indirect=True)
def test_it_fits_every_screen(opened: Page, size: str, request: pytest.FixtureRequest) -> None:
    _open(opened, request.getfixturevalue(size))
    _draw_all(opened)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SCREENSHOTS / f"{request.node.callspec.id}.png", full_page=size == "small")


@pytest.mark.parametrize("opened", [{}, DARK, PHONE], ids=["light", "dark", "phone"], indirect=True)
def test_everyone_can_read_it(opened: Page, small: Path) -> None:
    _open(opened, small)
    _draw_all(opened)
    assert not _violations(opened)


def test_everyone_can_read_many_cases(opened: Page, large: Path) -> None:
    _open(opened, large)
    _draw_all(opened)
    assert not _violations(opened, without="color-contrast")  # slow in many cells, whose colours are those above


def test_it_opens_with_the_answer(opened: Page, small: Path) -> None:
    _open(opened, small)
    answer = opened.locator("main > section").first
    expect(answer).to_contain_text("2 networks in 10 cases")
    expect(answer).to_contain_text(
        "onnx/onnxruntime on local, cpu: faster; the source's time becomes 0.25x at batch 1 (0.2"
    )


def test_somebody_elses_markup_is_text(opened: Page, small: Path) -> None:
    _open(opened, small)
    _draw_all(opened)
    assert opened.title() == f"tried {MARKUP} - portbench"
    assert opened.locator("main img").count() == 0
    expect(opened.locator("#failures")).to_contain_text(f"ended after 1 s {MARKUP}")
    expect(_chart(opened, "ratio")).to_contain_text(MARKUP)


def test_a_heading_sorts(opened: Page, large: Path) -> None:
    _open(opened, large)
    opened.get_by_role("button", name="median (95 %)").click()
    medians = [case.get("median", 0) for case in json.loads(opened.locator("#data-cases").inner_text())]
    numbers = [int(text) - 1 for text in _cells(opened, "case")]
    assert len(numbers) == 200
    assert [medians[number] for number in numbers] == sorted(medians)[:200]
    opened.get_by_role("button", name="median (95 %)").press("Enter")
    expect(opened.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    assert medians[int(_cells(opened, "case")[0]) - 1] == max(medians)


def test_rows_beyond_the_first_come_when_asked_for(opened: Page, large: Path) -> None:
    _open(opened, large)
    opened.get_by_role("button", name="Show more").click()
    assert opened.locator(SHOWN).count() == 2000


def test_filters_hold_for_table_and_charts(opened: Page, large: Path) -> None:
    _open(opened, large)
    opened.get_by_label("Network", exact=True).select_option("network07 from keras")
    opened.get_by_label("Search").fill("ONNX ok")
    expect(opened.get_by_role("status")).to_have_text("25 of 2,000 cases")
    assert set(_cells(opened, "network")) == {"network07 from keras"}
    _chart(opened, "ratio").scroll_into_view_if_needed()
    expect(_chart(opened, "ratio")).to_contain_text("network07 from keras, onnx/onnxruntime")
    expect(_chart(opened, "ratio")).not_to_contain_text("network08")
    opened.get_by_role("button", name="Show all").click()
    expect(opened.get_by_role("status")).to_have_text("2,000 of 2,000 cases")


def test_columns_are_chosen(opened: Page, small: Path) -> None:
    _open(opened, small)
    heading = opened.locator("#table").get_by_role("button", name="p99")
    expect(heading).to_be_hidden()
    opened.get_by_text("Columns", exact=True).click()
    opened.get_by_label("p99").check()
    expect(heading).to_be_visible()
    opened.get_by_label("memory", exact=True).uncheck()
    expect(opened.locator("#table").get_by_role("button", name="memory")).to_be_hidden()


def test_a_case_is_looked_at_closely(opened: Page, small: Path) -> None:
    _open(opened, small)
    opened.get_by_role("button", name="Case 7 closely").press("Enter")
    expect(_chart(opened, "timeline")).to_contain_text("kernel's peak 537 MB")
    first = _chart(opened, "ecdf").locator("svg").last.inner_html()
    opened.get_by_label("Case", exact=True).select_option(
        "9. lenet5 from keras, onnx/onnxruntime on local, cpu, batch 1"
    )
    expect(_chart(opened, "timeline")).to_contain_text("kernel's peak 134 MB")
    assert _chart(opened, "ecdf").locator("svg").last.inner_html() != first


def test_every_chart_draws(opened: Page, small: Path) -> None:
    _open(opened, small)
    _draw_all(opened)
    names = opened.locator("[data-chart]").evaluate_all("figures => figures.map(figure => figure.dataset.chart)")
    assert [name for name in names if not _chart(opened, name).locator("svg[role=img]").count()] == []


def test_a_chart_tells_figures_under_the_pointer(opened: Page, small: Path) -> None:
    _open(opened, small)
    chart = _chart(opened, "size")
    chart.scroll_into_view_if_needed()
    expect(chart).not_to_contain_text("242 kB")
    chart.locator("g[fill] rect").first.hover()
    expect(chart).to_contain_text("242 kB")


def test_devices_stand_side_by_side_and_hosts_differ(opened: Page, small: Path) -> None:
    _open(opened, small)
    expect(opened.locator("#beside thead")).to_contain_text("box, cuda:0")
    differ = opened.locator("#environment table").first.locator("tbody tr").all_inner_texts()
    assert differ == [f"cpu\tone\tanother {MARKUP}"]


def test_a_campaign_without_results_says_so(opened: Page, tmp_path: Path) -> None:
    _open(opened, written(tmp_path, [], []))
    _draw_all(opened)
    expect(opened.locator("#answer")).to_contain_text("No results yet.")


def test_failures_are_counted_by_stage_and_symptom(opened: Page, small: Path) -> None:
    _open(opened, small)
    table = opened.locator("#failures table")
    assert table.locator("thead th").all_inner_texts() == ["stage", "timeout", "wrong-output"]
    lines = [line.split("\t") for line in table.locator("tbody tr").all_inner_texts()]
    assert sorted(lines) == [["attack", "2", "0"], ["compare", "0", "2"], ["measure", "2", "0"]]


def test_what_was_unstable_is_told_with_the_reason(opened: Page, small: Path) -> None:
    _open(opened, small)
    told = opened.locator("#unstable li").filter(has_text="cuda:0").first
    expect(told).to_contain_text("unstable")
    expect(told).to_contain_text("one trial only: how processes differ is unknown")


def test_the_studys_claims_open_with_their_figures(opened: Page, small: Path) -> None:
    _open(opened, small)
    claim = opened.locator(".claim", has_text="Models get smaller by conversion to ONNX.")
    expect(claim).to_contain_text("cannot be said")
    claim.locator("summary").click()
    expect(claim.locator("tbody tr")).to_contain_text(["lenet5 from keras"])


def test_it_prints(opened: Page, small: Path) -> None:
    _open(opened, small)
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.emulate_media(media="print")
    expect(opened.locator("nav")).to_be_hidden()
    expect(opened.locator(".network").last.locator("dd").first).to_be_visible()
