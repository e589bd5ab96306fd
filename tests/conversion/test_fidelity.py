"""Agreement is counted, not guessed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.fidelity import compare

Answers = NDArray[np.float32]
_numbers = st.floats(-1e3, 1e3, width=32)
_answers = st.tuples(st.integers(1, 20), st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=_numbers)
)


@given(_answers)
def test_equal_answers_agree_wholly(answers: Answers) -> None:
    found = compare(answers, answers.copy(), answers.argmax(axis=1), answers)
    assert (found.samples, found.accuracy, found.label_agreement) == (len(answers), 1.0, 1.0)
    assert (found.max_abs_error, found.mean_abs_error, found.batch_invariant) == (0.0, 0.0, True)


@given(_answers, st.data())
def test_one_changed_answer_is_seen_in_the_errors(answers: Answers, data: Any) -> None:
    sample, output = (data.draw(st.integers(0, size - 1)) for size in answers.shape)
    changed = answers.copy()
    changed[sample, output] += data.draw(st.floats(0.5, 100, width=32))
    error = float(changed[sample, output]) - float(answers[sample, output])
    found = compare(answers, changed, None, None)
    assert found.max_abs_error == pytest.approx(error)
    assert found.mean_abs_error == pytest.approx(error / answers.size)
    assert round(found.label_agreement * len(answers)) >= len(answers) - 1
    assert (found.accuracy, found.batch_invariant) == (None, None)


@given(_answers)
def test_equal_answers_have_no_distance_by_any_measure(answers: Answers) -> None:
    found = compare(answers, answers.copy(), None, None)
    assert (found.max_rel_error, found.min_cosine) == (0.0, 1.0)
    assert found.kl_divergence == pytest.approx(0, abs=1e-12)


def test_distances_are_those_of_the_textbook() -> None:
    expected = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32)
    answers = np.array([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0]], np.float32)
    found = compare(expected, answers, None, None)
    assert found.max_rel_error == pytest.approx(0.5)
    assert found.min_cosine == pytest.approx(0.3125 / 0.375)
    # 0.5 ln 2 - 0.25 ln 2 of the first, nothing of the second.
    assert found.kl_divergence == pytest.approx(0.25 * np.log(2) / 2)


@given(_answers, st.floats(-50, 50))
def test_logits_that_differ_by_a_constant_are_one_distribution(answers: Answers, shift: float) -> None:
    logits = answers.astype(np.float64) - 5000  # below 0, so that they are not taken for probabilities
    found = compare(logits, logits + shift, None, None)
    assert found.kl_divergence == pytest.approx(0, abs=1e-9)


def test_one_probability_diverges_as_a_coin() -> None:
    found = compare(np.array([[0.5]]), np.array([[0.25]]), None, None)
    assert found.kl_divergence == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75))


@given(_answers, st.randoms())
def test_the_order_of_samples_does_not_matter(answers: Answers, random: Any) -> None:
    order = list(range(len(answers)))
    random.shuffle(order)
    other = answers[::-1]
    labels = answers.argmax(axis=1)
    found, shuffled = compare(answers, other, labels, None), compare(answers[order], other[order], labels[order], None)
    assert (found.label_agreement, found.accuracy) == (shuffled.label_agreement, shuffled.accuracy)
    assert found.max_abs_error == shuffled.max_abs_error
    assert found.mean_abs_error == pytest.approx(shuffled.mean_abs_error)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_a_probability_is_a_label_too(shape: tuple[int, ...]) -> None:
    expected = np.array([0.1, 0.9, 0.4, 0.6], np.float32).reshape(shape)
    answers = np.array([0.1, 0.9, 0.6, 0.6], np.float32).reshape(shape)
    found = compare(expected, answers, np.array([0, 1, 1, 1]), None)
    assert (found.accuracy, found.label_agreement) == (1.0, 0.75)


def test_answers_that_depend_on_their_neighbours_are_seen() -> None:
    answers = np.eye(4, dtype=np.float32)
    rounded = answers[:2] + np.float32(1e-6)
    assert compare(answers, answers, None, rounded).batch_invariant is True
    assert compare(answers, answers, None, answers[:2] * np.float32(0.9)).batch_invariant is False
    assert compare(answers, answers, None, answers[[1, 0]]).batch_invariant is False


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_wrong(value: float) -> None:
    answers = np.eye(3, dtype=np.float32)
    broken = answers.copy()
    broken[1] = value
    with pytest.raises(CaseFailure, match="the answers to 1 of 3 samples hold NaN or infinity") as caught:
        compare(answers, broken, None, None)
    assert (caught.value.stage, caught.value.symptom) == (Stage.COMPARE, Symptom.WRONG_OUTPUT)
    with pytest.raises(CaseFailure, match="the source's answers"):
        compare(broken, answers, None, None)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (3,), (0, 3)])
def test_answers_of_another_shape_are_wrong(shape: tuple[int, ...]) -> None:
    with pytest.raises(CaseFailure, match=r"shape .*source's \(3, 3\)") as caught:
        compare(np.eye(3), np.zeros(shape), None, None)
    assert (caught.value.stage, caught.value.symptom) == (Stage.COMPARE, Symptom.WRONG_OUTPUT)
