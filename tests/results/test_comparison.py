"""Two campaigns held against each other, and cases across campaigns: what is said of rows whose figures are known."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.report.comparison import ComparisonReport, as_object
from orchestrator.results import statistics
from orchestrator.results.comparison import CaseComparison, Comparison, compare
from orchestrator.results.findings import Finding, Judgement
from orchestrator.results.history import MeasuredCampaign, history
from orchestrator.results.pairs import Condition
from orchestrator.results.schema import Row
from orchestrator.results.summary import Measured, measure
from tests.results import rows

NO_DIFFERENCE, NOT_COMPARABLE = Judgement.NO_DIFFERENCE, Judgement.NOT_COMPARABLE
SWAPPED = {Judgement.WORSE: Judgement.BETTER, Judgement.BETTER: Judgement.WORSE}
TRIALS = 15  # of the suite `thorough`
BATCHES = range(1, 21)


def _compared(base: Sequence[Row], other: Sequence[Row], **options: Any) -> Comparison:
    return compare(measure(base), measure(other), **options)


def _one(base: Sequence[Row], other: Sequence[Row], **options: Any) -> CaseComparison:
    (case,) = _compared(base, other, **options).cases
    return case


def _time(base: Sequence[Row], other: Sequence[Row], **options: Any) -> Finding:
    return _one(base, other, **options).figures["time"]


def _judged(found: Comparison, figure: str = "time") -> list[Judgement]:
    return [finding.verdict for case in found.cases for name, _, finding in case.findings() if name == figure]


def _many(slowdown: float, seed: int) -> list[Measured]:
    """Twenty cases with the trials of `thorough`, whose processes differ by 1.5 % as undisturbed ones do."""
    random = np.random.default_rng(seed)
    levels = 40_000 * slowdown * random.lognormal(0, 0.015, (len(BATCHES), TRIALS))
    written = [
        rows.timing([round(value) for value in level * random.lognormal(0, 0.02, 160)], trial=trial, batch_size=batch)
        for batch, of_case in zip(BATCHES, levels, strict=True)
        for trial, level in enumerate(of_case)
    ]
    return measure(written)


def test_campaigns_of_the_same_do_not_differ_and_five_per_cent_are_found() -> None:
    """With the thorough settings; what is asked for are 95 % and 90 %."""
    bases = [_many(1.0, seed) for seed in range(3)]
    alike = [verdict for seed, base in enumerate(bases) for verdict in _judged(compare(base, _many(1.0, 100 + seed)))]
    slowed = [verdict for seed, base in enumerate(bases) for verdict in _judged(compare(base, _many(1.05, 200 + seed)))]
    assert alike.count(NO_DIFFERENCE) >= 0.95 * len(alike)
    assert slowed.count(Judgement.WORSE) >= 0.9 * len(slowed)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.8, 1.25), st.integers(2, 6), st.integers(0, 99), st.floats(0, 0.1))
def test_exchanging_the_sides_exchanges_slower_and_faster(
    factor: float, trials: int, seed: int, threshold: float
) -> None:
    ours, theirs = rows.steady_trials(40_000, trials, seed), rows.steady_trials(round(40_000 * factor), 3, seed + 1)
    there, back = _time(ours, theirs, threshold=threshold), _time(theirs, ours, threshold=threshold)
    assert back.verdict == SWAPPED.get(there.verdict, there.verdict)
    assert there.change and there.low and there.high and back.low and back.high  # noqa: PT018
    assert (back.change, back.low, back.high) == pytest.approx((1 / there.change, 1 / there.high, 1 / there.low))
    assert back.p_value == pytest.approx(there.p_value)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 99), st.sampled_from([0.0, 0.03]))
def test_a_campaign_does_not_differ_from_itself(trials: int, seed: int, threshold: float) -> None:
    campaign = [rows.check(), *rows.steady_trials(40_000, trials, seed), rows.memory(7, 9), rows.memory(8, trial=1)]
    case = _one(campaign, campaign, threshold=threshold)
    assert {finding.verdict for _, _, finding in case.findings()} == {NO_DIFFERENCE}
    errors = {"max_abs_error", "mean_abs_error"}
    assert set(case.figures) == {"time", "status", "memory", "size", "accuracy", "agreement", *errors}
    assert not _compared(campaign, campaign, threshold=threshold).got_worse


@pytest.mark.parametrize(
    ("factor", "threshold", "verdict"),
    [
        (1.10, 0.03, Judgement.WORSE),
        (1 / 1.10, 0.03, Judgement.BETTER),
        (1.10, 0.15, NO_DIFFERENCE),
        (1.02, 0.03, NO_DIFFERENCE),
    ],
)
def test_a_difference_is_significant_and_beyond_the_threshold(
    factor: float, threshold: float, verdict: Judgement
) -> None:
    found = _time(rows.steady_trials(40_000), rows.steady_trials(round(40_000 * factor), seed=1), threshold=threshold)
    assert found.verdict is verdict
    assert found.change == pytest.approx(factor, rel=0.01)


def test_what_is_significant_alone_need_not_be_so_among_many() -> None:
    """Three trials against three of a slower case, in a campaign with nineteen cases that do not differ."""

    def trials(level: float, batch: int) -> list[Row]:
        return [
            rows.timing([round(level * shift)] * 160, trial=i, batch_size=batch)
            for i, shift in enumerate((1, 1.008, 1.016))
        ]

    lone = _time(trials(40_000, 1), trials(42_000, 1))
    base = [row for batch in BATCHES for row in trials(40_000, batch)]
    other = [row for batch in BATCHES for row in trials(42_000 if batch == 1 else 40_000, batch)]
    among = _compared(base, other).cases[0].figures["time"]
    assert (lone.verdict, among.verdict) == (Judgement.WORSE, NO_DIFFERENCE)
    assert lone.p_value is not None
    assert among.p_value == pytest.approx(20 * lone.p_value)
    assert "20 comparisons" in among.reason


CHANGED: list[tuple[Condition, dict[str, Any], dict[str, Any]]] = [
    (Condition.HOST, {}, {"host_fingerprint": "beef"}),
    (Condition.HOST, {}, {"host_fingerprint": "beef", "host": "box", "runner": "mine"}),
    (Condition.IMAGE, {"image_digest": "sha256:old"}, {"image_digest": "sha256:new"}),
    (Condition.ISOLATION, {"image_digest": "sha256:old"}, {"isolation": "process"}),
    (Condition.THREADS, {}, {"threads": 2}),
    (Condition.ARTIFACT, {}, {"artifact_sha256": "cd" * 32}),
]


@pytest.mark.parametrize(("condition", "ours", "theirs"), CHANGED)
def test_what_was_measured_under_other_conditions_is_compared_only_where_that_is_meant(
    condition: Condition, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    base, other = rows.steady_trials(40_000, **ours), rows.steady_trials(60_000, **theirs)
    refused, asked = _one(base, other), _one(base, other, across=[condition])
    assert refused.figures["time"].verdict is refused.figures["size"].verdict is NOT_COMPARABLE
    assert f"{condition} differs" in refused.figures["time"].reason
    assert list(asked.changed) == [condition]
    assert asked.figures["time"].verdict is Judgement.WORSE


def test_of_plain_processes_the_versions_stand_for_the_image() -> None:
    ours, theirs = (
        [row.model_copy(update={"versions": {"onnxruntime": version}}) for row in rows.steady_trials(40_000)]
        for version in ("1.31.0", "1.32.0")
    )
    assert _one(ours, theirs).changed == {Condition.IMAGE: "onnxruntime 1.31.0 -> 1.32.0"}
    assert _time(ours, ours).verdict is NO_DIFFERENCE


REFERENCE = {"python": "3.11.2 (main, Mar 13 2023, 12:18:29) [GCC 12.2.0]", "reference": "2"}


def _at_pace(pace: float, sample_ns: int = 40_000, versions: dict[str, str] = REFERENCE, **fields: Any) -> list[Row]:
    """A case on a host whose clock made the reference and the model take `pace` times as long."""
    written = []
    for row in rows.steady_trials(round(sample_ns * pace), **fields):
        assert row.timing is not None
        references_ns = tuple(round(reference * pace) for reference in row.timing.references_ns)
        timing = row.timing.model_copy(update={"references_ns": references_ns})
        written.append(row.model_copy(update={"timing": timing, "versions": versions}))
    return written


def test_how_the_hosts_own_pace_changed_between_the_campaigns_is_taken_out() -> None:
    drifted = _one(_at_pace(1.0), _at_pace(1.04))
    assert drifted.drift == pytest.approx(1.04)
    assert drifted.figures["time"].change == pytest.approx(1.0, abs=0.005)
    assert drifted.figures["time"].verdict is NO_DIFFERENCE


def test_what_was_taken_out_is_told() -> None:
    found = _compared(_at_pace(1.0), _at_pace(1.04))
    console = Console(file=io.StringIO(), width=200)
    console.print(ComparisonReport(found, "a", "b"))
    assert isinstance(console.file, io.StringIO)
    assert "The host local by itself took 4 % more time than for the base" in console.file.getvalue()
    assert as_object(found, "a", "b")["cases"][0]["host_drift"] == pytest.approx(1.04)


def test_exchanging_the_sides_inverts_the_hosts_drift() -> None:
    base, other = (
        [row for batch in (1, 2) for row in _at_pace(1 + pace * batch / 100, batch_size=batch)] for pace in (0, 1)
    )
    found, swapped = _compared(base, other).cases[0], _compared(other, base).cases[0]
    assert found.drift is not None
    assert swapped.drift == pytest.approx(1 / found.drift)


def test_what_one_runtime_alone_does_to_the_clock_stays_its_own() -> None:
    base, other = (
        [row for batch in range(1, 5) for row in _at_pace(slow if batch == 1 else 1.0, batch_size=batch)]
        for slow in (1.0, 1.04)
    )
    assert _judged(_compared(base, other)) == [Judgement.WORSE, *[NO_DIFFERENCE] * 3]


@pytest.mark.parametrize(
    "other",
    [
        {"versions": REFERENCE | {"python": "3.11.7"}},
        {"versions": REFERENCE | {"reference": "3"}},
        {"versions": {}},
        {"threads": 2},
        {"device": "cuda:0"},
        {"host_fingerprint": "beef"},
        {"sample_ns": 20_000_000},
    ],
)
def test_where_references_do_not_tell_a_cases_pace_nothing_is_taken_out(other: dict[str, Any]) -> None:
    """Other software or another host; several threads and devices; samples longer than quiet spells."""
    both = {name: value for name, value in other.items() if name in ("threads", "device", "sample_ns")}
    found = _one(_at_pace(1.0, **both), _at_pace(1.04, **other), across=list(Condition))
    assert found.drift is None
    assert found.figures["time"].change == pytest.approx(1.04, abs=0.005)


def test_nothing_is_taken_out_of_times_as_seen() -> None:
    disturbed = [rows.timing([40_000] * 160, busy=[True] * 20, trial=trial) for trial in range(3)]
    seen = [row.model_copy(update={"versions": REFERENCE}) for row in disturbed]
    base, other = ([*seen, *_at_pace(pace, batch_size=32)] for pace in (1.0, 1.04))
    assert [case.drift for case in _compared(base, other).cases] == [None, pytest.approx(1.04)]


def test_several_hosts_under_other_names_are_not_guessed() -> None:
    base, other = (
        [row for name in names for row in rows.steady_trials(40_000, host=name)] for names in (("a", "b"), ("c", "d"))
    )
    found = _compared(base, other)
    assert found.shared == 0
    assert _judged(found) == [NOT_COMPARABLE] * 4


OK = [rows.check(), *rows.steady_trials(40_000), rows.memory(7)]
UNREACHED: dict[str, Any] = {"host_fingerprint": None, "isolation": None, "artifact_sha256": None, "threads": 0}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([rows.check(rows.wrong()), *rows.steady_trials(40_000)], "answers are NaN"),
        ([rows.check(), rows.row("timing", rows.FAILURE)], "ended after 1 s"),
        ([rows.row("timing", rows.FAILURE, **UNREACHED)], "ended after 1 s"),
    ],
)
def test_failed_or_wrong_where_it_was_ok_is_worse_and_has_no_times(other: list[Row], words: str) -> None:
    there, back = _one(OK, other), _one(other, OK)
    assert there.figures["time"].verdict is back.figures["time"].verdict is NOT_COMPARABLE
    assert words in there.figures["time"].reason
    assert (there.figures["status"].verdict, back.figures["status"].verdict) == (Judgement.WORSE, Judgement.BETTER)
    assert words in there.figures["status"].reason
    assert _compared(OK, other).got_worse


def test_failure_is_told_whatever_else_differs() -> None:
    failed = [rows.row("timing", rows.FAILURE, artifact_sha256="cd" * 32)]
    assert _one(OK, failed).figures["status"].verdict is Judgement.WORSE


def test_a_case_that_one_campaign_lacks_is_not_comparable() -> None:
    more = [*OK, *rows.steady_trials(40_000, batch_size=32)]
    assert _judged(_compared(more, OK)) == _judged(_compared(OK, more)) == [NO_DIFFERENCE, NOT_COMPARABLE]
    assert not _compared(more, OK).got_worse


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([rows.memory(7)], "it was not timed"),
        (rows.steady_trials(40_000, trials=1), "one trial only"),
        ([rows.timing([40_000 * (1 + trial)] * 160, trial=trial) for trial in range(3)], "too unstable"),
    ],
)
def test_what_is_unstable_beyond_use_is_not_comparable(other: list[Row], words: str) -> None:
    found = _time(rows.steady_trials(40_000), other)
    assert found.verdict is NOT_COMPARABLE
    assert words in found.reason


@pytest.mark.parametrize(("factor", "verdict"), [(1.5, NOT_COMPARABLE), (3.0, Judgement.WORSE), (1.0, NO_DIFFERENCE)])
def test_where_interference_stays_in_only_more_than_it_does_is_called_a_difference(
    factor: float, verdict: Judgement
) -> None:
    def disturbed(level: float) -> list[Row]:
        # The other case tells that these trials saw no quiet moment.
        quiet = rows.steady_trials(40_000, batch_size=32)
        busy = [rows.timing([round(level)] * 160, busy=[True] * 20, trial=trial) for trial in range(4)]
        return [*busy, *quiet]

    assert _judged(_compared(disturbed(40_000), disturbed(40_000 * factor))) == [verdict, NO_DIFFERENCE]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((100, 101, 102), (110, 111, 112), Judgement.WORSE),
        ((110, 111, 112), (100, 101, 102), Judgement.BETTER),
        ((100, 101, 102), (103, 103, 103), NO_DIFFERENCE),
        ((100, 101, 130), (110, 111, 112), NO_DIFFERENCE),
    ],
)
def test_memory_differs_where_no_peak_of_one_side_is_like_one_of_the_other(
    ours: Sequence[int], theirs: Sequence[int], verdict: Judgement
) -> None:
    base, other = ([rows.memory(peak, trial=trial) for trial, peak in enumerate(side)] for side in (ours, theirs))
    assert _one(base, other).figures["memory"].verdict is verdict


def test_a_bigger_artifact_is_worse_where_another_one_is_meant() -> None:
    bigger = [row.model_copy(update={"artifact_bytes": 2 * 241_664}) for row in OK]
    found = _one(OK, [row.model_copy(update={"artifact_sha256": "cd" * 32}) for row in bigger], across=["artifact"])
    assert (found.figures["size"].verdict, found.figures["size"].change) == (Judgement.WORSE, 2.0)


def _check(accuracy: float, **fields: Any) -> Row:
    row = rows.check()
    assert row.check
    return row.model_copy(update={"check": row.check.model_copy(update={"accuracy": accuracy}), **fields})


def test_accuracy_is_compared_as_shares_of_the_same_inputs() -> None:
    assert _one([_check(0.95)], [_check(0.85)]).figures["accuracy"].verdict is Judgement.WORSE
    assert _one([_check(0.85)], [_check(0.95)]).figures["accuracy"].verdict is Judgement.BETTER
    assert _one([_check(0.95)], [_check(0.94)]).figures["accuracy"].verdict is NO_DIFFERENCE
    assert _one([_check(0.95)], [_check(0.85, inputs_sha256="other")]).figures["accuracy"].verdict is NOT_COMPARABLE


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "change"),
    [
        (2e-6, 5e-5, Judgement.WORSE, 25.0),
        (5e-5, 2e-6, Judgement.BETTER, 0.04),
        (0.0, 5e-5, Judgement.WORSE, None),
        (2e-5, 3e-5, NO_DIFFERENCE, 1.5),  # as much as rounding does
        (1e-8, 9e-7, NO_DIFFERENCE, 90.0),  # far below the tolerance, 1e-4
    ],
)
def test_errors_differ_where_rounding_does_not_explain_it(
    ours: float, theirs: float, verdict: Judgement, change: float | None
) -> None:
    found = _one([rows.check(max_abs_error=ours)], [rows.check(max_abs_error=theirs)])
    error = found.figures["max_abs_error"]
    assert (error.verdict, error.base, error.other) == (verdict, ours, theirs)
    assert error.change == (change and pytest.approx(change))
    assert found.figures["mean_abs_error"].verdict is NO_DIFFERENCE


def test_errors_on_other_inputs_are_not_compared() -> None:
    other = rows.check().model_copy(update={"inputs_sha256": "other"})
    assert _one([rows.check()], [other]).figures["max_abs_error"].verdict is NOT_COMPARABLE


def test_cases_that_share_a_check_are_one_comparison() -> None:
    base, other = (
        [_check(accuracy), *(row for batch in (1, 2, 4) for row in rows.steady_trials(40_000, batch_size=batch))]
        for accuracy in (0.95, 0.91)
    )
    lone = _one([_check(0.95)], [_check(0.91)]).figures["accuracy"]
    assert {case.figures["accuracy"] for case in _compared(base, other).cases} == {lone}


INPUTS = 200
NOBODY, HALF, MORE = ([index < fooled for index in range(INPUTS)] for fooled in (0, 100, 130))


def test_attacks_are_paired_by_the_same_attacked_inputs() -> None:
    base, other = [rows.check(), rows.attack(NOBODY, HALF)], [rows.check(), rows.attack(NOBODY, MORE)]
    (found,) = _one(base, other).attacks.values()
    assert (found.verdict, found.base, found.other, found.change) == (Judgement.WORSE, 0.5, 0.65, 0.15)
    assert _judged(_compared(other, base), "attacks") == [Judgement.BETTER]
    assert _judged(_compared(base, base), "attacks") == [NO_DIFFERENCE]
    elsewhere = [rows.check(), rows.attack(NOBODY, MORE, attacked_sha256="ef" * 32)]
    assert _judged(_compared(base, elsewhere), "attacks") == [NOT_COMPARABLE]


def test_an_attack_that_fails_where_it_went_through_is_worse() -> None:
    base = [rows.check(), rows.attack(NOBODY, HALF)]
    other = [rows.check(), rows.attack(NOBODY, HALF, outcome=rows.FAILURE)]
    assert _judged(_compared(base, other), "attacks") == [Judgement.WORSE]
    assert _judged(_compared(other, base), "attacks") == [NOT_COMPARABLE]


@pytest.mark.parametrize("freedom", [0.0, 3.0, 28.0])
def test_the_p_value_of_a_ratio_belongs_to_its_interval(freedom: float) -> None:
    edge, beyond, within = (statistics.Estimate(1.1, low, 1.21 / low, freedom) for low in (1.0, 1.01, 0.99))
    assert statistics.p_value(edge) == pytest.approx(0.05)
    assert statistics.p_value(beyond) < 0.05 < statistics.p_value(within)
    assert statistics.p_value(beyond.inverse) == pytest.approx(statistics.p_value(beyond))
    assert statistics.p_value(statistics.Estimate(1.1, None, None)) == 1


def test_history_goes_by_age_and_tells_what_changed_since() -> None:
    other: dict[str, Any] = {"artifact_sha256": "cd" * 32, "image_digest": "sha256:new"}
    told = [
        MeasuredCampaign("newest", "2026-03-01", measure(rows.steady_trials(60_000, **other))),
        MeasuredCampaign(
            "first", "2026-01-01", measure([rows.row("timing", rows.FAILURE, **UNREACHED | {"threads": 1})])
        ),
        MeasuredCampaign("middle", "2026-02-01", measure(rows.steady_trials(40_000))),
    ]
    (entries,) = history(told)
    assert [entry.campaign for entry in entries] == ["first", "middle", "newest"]
    assert [entry.ratio and round(entry.ratio.value, 1) for entry in entries] == [None, None, 1.5]
    assert [list(entry.changed) for entry in entries] == [[], [], [Condition.ARTIFACT]]


def test_history_takes_the_hosts_pace_out_of_its_ratios() -> None:
    told = [
        MeasuredCampaign("first", "2026-01-01", measure(_at_pace(1.0))),
        MeasuredCampaign("second", "2026-02-01", measure(_at_pace(1.04))),
    ]
    ((_, entry),) = history(told)
    assert entry.drift == pytest.approx(1.04)
    assert entry.ratio is not None
    assert entry.ratio.value == pytest.approx(1.0, abs=0.005)
