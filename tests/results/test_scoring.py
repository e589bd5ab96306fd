"""Scores of attacks: what counts, and the figures of it against published or hand-computed ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.results import scoring
from orchestrator.results.schema import Outcomes
from orchestrator.results.scoring import Paired, Rate, Unpaired

MANY = settings(max_examples=50, deadline=None)
COUNTS = st.integers(0, 500)
CLASSES = tuple(number % 10 for number in range(100))
ONE_WRONG = (9, *CLASSES[1:])


def _outcomes(**classes: tuple[int, ...]) -> Outcomes:
    """Of a hundred inputs of ten balanced classes that nothing fools, but for `classes`; alone as in a batch."""
    alone = {f"{name}_alone": classes[name] for name in ("clean", "attacked") if name in classes}
    return Outcomes(**dict.fromkeys(Outcomes.model_fields, CLASSES) | alone | classes)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # these four: Newcombe, Statistics in Medicine 17 (1998) 857, Table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_the_interval_of_a_share_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    assert Rate(count, total).interval() == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("source", "converted", "p_value"),
    [(1, 9, 22 / 1024), (9, 1, 22 / 1024), (0, 5, 2 / 32), (0, 6, 2 / 64), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_the_test_of_a_pair_is_mcnemars_exact_one(source: int, converted: int, p_value: float) -> None:
    assert Paired(100, source, converted).p_value() == pytest.approx(p_value)


def test_the_interval_of_a_difference_is_that_of_agresti_and_min() -> None:
    """Their data: two polls of the same 1600 people, of whom 150 and 86 changed their minds; by hand."""
    assert Paired(1600, only_source=86, only_converted=150).interval() == pytest.approx((0.02122, 0.05868), abs=1e-5)


@MANY
@given(COUNTS, COUNTS, COUNTS)
def test_the_two_models_of_a_pair_can_be_exchanged(concordant: int, source: int, converted: int) -> None:
    total = concordant + source + converted
    pair, turned = Paired(total, source, converted), Paired(total, converted, source)
    low, high = pair.interval()
    assert turned.interval() == pytest.approx((-high, -low))
    assert turned.p_value() == pytest.approx(pair.p_value())
    assert -1 <= low <= high <= 1
    if total:
        assert low <= pair.difference <= high
        assert 0 <= Rate(source, total).interval()[0] <= source / total <= Rate(source, total).interval()[1] <= 1


def test_shares_that_are_not_paired_have_newcombes_interval_and_fishers_test() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873, Table II (a), method 10; Fisher's lady tasting tea."""
    found = Unpaired(Rate(48, 80), Rate(56, 70))
    assert found.difference == pytest.approx(0.2)
    assert found.interval() == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert Unpaired(Rate(1, 4), Rate(3, 4)).p_value() == pytest.approx(34 / 70)


def test_only_inputs_that_both_models_have_right_before_the_attack_count() -> None:
    found = scoring.score(
        _outcomes(
            source_clean=ONE_WRONG,
            clean=(*CLASSES[:-1], 0),
            source_attacked=(9, 9, 9, *CLASSES[3:]),
            attacked=(9, 9, *CLASSES[2:98], 1, 1),
        )
    )
    assert found.scored == 98
    assert (found.source, found.converted) == (Rate(2, 98), Rate(2, 98))
    assert found.disagreements == Rate(2, 98)
    assert found.paired == Paired(98, only_source=1, only_converted=1)


def test_two_wrong_answers_can_disagree() -> None:
    found = scoring.score(_outcomes(source_attacked=ONE_WRONG, attacked=(8, *CLASSES[1:])))
    assert (found.source.count, found.converted.count, found.disagreements.count) == (1, 1, 1)
    assert found.paired == Paired(100, 0, 0)


def test_where_nothing_counts_nothing_is_said() -> None:
    nobody = tuple((number + 1) % 10 for number in CLASSES)
    found = scoring.score(_outcomes(clean=nobody))
    assert found.scored == 0
    assert math.isnan(found.converted.share)
    assert math.isnan(found.paired.difference)
    assert found.converted.interval() == (0, 1)
    assert found.paired.p_value() == 1


@pytest.mark.parametrize("name", ["clean", "attacked"])
def test_a_class_that_depends_on_the_batch_is_noticed(name: str) -> None:
    assert scoring.batch_invariant(_outcomes(**{name: ONE_WRONG}))
    assert not scoring.batch_invariant(_outcomes(**{f"{name}_alone": ONE_WRONG}))


def test_as_the_study_counted_a_package_that_answers_only_the_first_input_is_near_chance() -> None:
    untouched = _outcomes()
    assert scoring.like_openja(untouched, answers_first_only=True).converted == Rate(90, 100)
    assert scoring.like_openja(untouched, answers_first_only=False) == scoring.score(untouched)


def test_as_the_study_counted_inputs_are_chosen_one_at_a_time() -> None:
    depending = _outcomes(clean_alone=ONE_WRONG)
    assert scoring.score(depending).scored == 100
    assert scoring.like_openja(depending, answers_first_only=False).scored == 99
    # The first of those that are left is of class 1, and so are ten of them.
    assert scoring.like_openja(depending, answers_first_only=True).converted == Rate(89, 99)
    nobody = _outcomes(clean_alone=tuple((number + 1) % 10 for number in CLASSES))
    assert scoring.like_openja(nobody, answers_first_only=True).scored == 0


@pytest.mark.parametrize(
    ("answers", "margins"),
    [
        ([[0.1, 0.7, 0.2], [4.0, -1.0, 4.0]], [0.5, 0.0]),
        ([[0.9], [0.5], [0.0]], [0.8, 0.0, 1.0]),  # of one probability, that of class 1
        ([0.25], [0.5]),
    ],
)
def test_a_margin_is_what_lies_between_the_two_best_answers(answers: list[list[float]], margins: list[float]) -> None:
    assert scoring.margins(np.array(answers)) == pytest.approx(margins)


def test_the_more_p_values_the_higher_they_become() -> None:
    assert scoring.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert scoring.holm([0.4]) == [0.4]
    assert scoring.holm([]) == []


@MANY
@given(st.lists(st.floats(0, 1), max_size=20))
def test_adjusted_p_values_keep_their_order_and_lie_between_the_given_ones_and_bonferronis(given: list[float]) -> None:
    adjusted = scoring.holm(given)
    order = sorted(range(len(given)), key=lambda index: given[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)
    assert all(p_value <= found <= min(1, len(given) * p_value) for p_value, found in zip(given, adjusted, strict=True))


def test_a_shift_is_the_median_of_the_ratios_of_distances() -> None:
    source = np.array(range(1, 21), np.float64)
    found = scoring.shift(source / 2, source)
    assert found
    assert (found.inputs, found.ratio, found.low, found.high) == pytest.approx((20, 0.5, 0.5, 0.5))
    assert found.p_value < 1e-3
    same = scoring.shift(source, source)
    assert same
    assert (same.ratio, same.p_value) == (1, 1)


def test_no_shift_is_told_of_fewer_than_six_inputs_for_which_both_attacks_found_something() -> None:
    source, found = np.ones(9), np.array([2.0, 2, 2, 2, 2, 2, math.inf, math.nan, 0])
    told = scoring.shift(found, source)
    assert told
    assert told.inputs == 6
    assert told.ratio == pytest.approx(2)
    assert scoring.shift(found[1:], source[1:]) is None
    assert scoring.shift(source[1:], found[1:]) is None


DISTANCES = st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=6, max_size=40)


@MANY
@given(DISTANCES)
def test_what_is_farther_for_one_model_is_as_much_nearer_for_the_other(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = np.array(pairs).T
    there, back = scoring.shift(ours, theirs), scoring.shift(theirs, ours)
    assert there
    assert back
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.low <= there.ratio * (1 + 1e-9)
    assert there.ratio <= there.high * (1 + 1e-9)


def test_the_interval_of_the_median_of_nothing_is_no_number() -> None:
    assert all(map(math.isnan, scoring.median_interval(np.array([]))))
