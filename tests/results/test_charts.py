"""What the page's charts are drawn from."""

from dataclasses import replace

from orchestrator.report.html.charts import cases_drawn
from orchestrator.results.summary import summarise
from tests.results import rows


def test_the_front_is_what_nothing_else_beats_in_time_and_accuracy() -> None:
    (case,) = summarise([rows.check(), *rows.steady_trials(40_000)])
    figures = [(10.0, 0.8), (20.0, 0.9), (30.0, 0.85), (30.0, 0.9), (40.0, 0.95), (5.0, None)]
    of_one = [replace(case, median_ns=median, accuracy=accuracy) for median, accuracy in figures]
    of_another = replace(case, model="vgg", median_ns=99.0, accuracy=0.1)
    other_batch = replace(case, batch_size=32, median_ns=99.0, accuracy=0.1)
    drawn = cases_drawn([*of_one, of_another, other_batch])
    assert [one.get("front", False) for one in drawn] == [True, True, False, False, True, False, True, True]


def test_a_case_is_drawn_beside_the_source_of_its_own_setting() -> None:
    source, converted = summarise(
        [*rows.steady_trials(40_000, trials=2, **rows.SOURCE), *rows.steady_trials(10_000, trials=2)]
    )
    elsewhere = replace(converted, host="box")
    assert [one.get("source") for one in cases_drawn([source, converted, elsewhere])] == [0, 0, None]
