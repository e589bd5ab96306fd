"""Attacks that ask a model one after the other, run side by side: whose questions come in which batch."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.robustness.lockstep import Array, Counted, side_by_side

Ask = Callable[[Array], Array]


class Model:
    """Doubles what it is asked, and remembers it."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def __call__(self, inputs: Array) -> Array:
        self.batches.append(inputs[:, 0].tolist())
        return 2 * inputs


def _asking(first: float, sizes: list[int], ask: Ask) -> Array:
    """An attack that asks for so many answers each time, about numbers from `first` on; it returns all answers."""
    answers: list[Array] = [np.zeros((0, 1))]
    for size in sizes:
        answers.append(ask(first + np.arange(size, dtype=float)[:, np.newaxis]))
        first += size
    return np.concatenate(answers)


def test_questions_that_wait_are_put_together_in_the_order_of_the_attacks() -> None:
    model = Model()
    counted = Counted(model, batch_size=4)
    attacks = [
        partial(_asking, 0, [2, 1, 1]),
        partial(_asking, 10, []),
        partial(_asking, 20, [1]),
        partial(_asking, 30, [3, 2]),
    ]
    found = side_by_side(attacks, counted)
    assert model.batches == [[0, 1, 20, 30], [31, 32], [2, 33, 34], [3]]
    assert counted.queries == 10
    assert [answers[:, 0].tolist() for answers in found] == [[0, 2, 4, 6], [], [40], [60, 62, 64, 66, 68]]


SIZES = st.lists(st.lists(st.integers(1, 5), max_size=4), max_size=5)


@settings(max_examples=50, deadline=None)
@given(SIZES, st.integers(1, 7))
def test_each_attack_gets_its_own_answers_in_batches_that_are_not_too_large(
    sizes: list[list[int]], batch_size: int
) -> None:
    model = Model()
    counted = Counted(model, batch_size)
    found = side_by_side([partial(_asking, 100 * index, own) for index, own in enumerate(sizes)], counted)
    for index, (answers, own) in enumerate(zip(found, sizes, strict=True)):
        np.testing.assert_array_equal(answers[:, 0], 2 * (100 * index + np.arange(sum(own))))
    assert counted.queries == sum(map(sum, sizes)) == sum(map(len, model.batches))
    assert all(len(batch) <= batch_size for batch in model.batches)
    rounds = [sum(own[turn] for own in sizes if turn < len(own)) for turn in range(max(map(len, sizes), default=0))]
    assert len(model.batches) == sum(-(-asked // batch_size) for asked in rounds)


def test_draws_between_questions_are_the_same_every_time_and_in_batches_of_any_size() -> None:
    def drawing(steps: int, ask: Ask) -> Array:
        return np.concatenate([ask(np.random.normal(size=(2, 1))) for _ in range(steps)])

    def run(batch_size: int) -> list[list[float]]:
        np.random.seed(3)
        found = side_by_side([partial(drawing, steps) for steps in (1, 4, 2)], Counted(Model(), batch_size))
        return [answers[:, 0].tolist() for answers in found]

    assert run(100) == run(100) == run(1)


def test_what_goes_wrong_in_an_attack_or_in_the_model_is_not_lost() -> None:
    def failing(ask: Ask) -> Array:
        ask(np.zeros((1, 1)))
        raise ArithmeticError("of the attack")

    def unwilling(_inputs: Array) -> Array:
        raise ConnectionError("of the model")

    attacks: list[Callable[[Ask], Array]] = [partial(_asking, 0, [1, 1, 1]), failing]
    with pytest.raises(ArithmeticError, match="of the attack"):
        side_by_side(attacks, Counted(Model(), 4))
    with pytest.raises(ConnectionError, match="of the model"):
        side_by_side(attacks, Counted(unwilling, 4))
