"""Many attacks that ask for one answer after the other, their questions put together into batches.

An attack on one input asks for few answers at a time. Run side by side, those on many inputs wait for one another, and
all that they ask at once goes out as one batch. They take turns in a fixed order within one thread, so that the draws
of NumPy's generator, which they share, come out the same every time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Counted:
    """A model's answers, (inputs, classes) for (inputs, ...), with the number of inputs that it was asked about.

    It is asked for at most `batch_size` at once.
    """

    answers: Callable[[Array], Array]
    batch_size: int
    queries: int = 0

    def __call__(self, inputs: Array) -> Array:
        """Asks."""
        self.queries += len(inputs)
        starts = range(0, len(inputs), self.batch_size)
        return np.concatenate([self.answers(inputs[start : start + self.batch_size]) for start in starts])


def side_by_side(attacks: Sequence[Callable[[Callable[[Array], Array]], Array]], model: Counted) -> list[Array]:
    """What each attack returns; each is called with a function that answers as `model` does."""
    hub = getcurrent()

    def ask(inputs: Array) -> Array:
        answer: Array = hub.switch(inputs)
        return answer

    running = [greenlet(attack, hub) for attack in attacks]
    said = [runner.switch(ask) for runner in running]
    while asking := [index for index, runner in enumerate(running) if not runner.dead]:
        answers = _split(model(np.concatenate([said[index] for index in asking])), [len(said[i]) for i in asking])
        for index, answer in zip(asking, answers, strict=True):
            said[index] = running[index].switch(answer)
    return said


def _split(answers: Array, counts: Sequence[int]) -> Iterator[Array]:
    start = 0
    for count in counts:
        yield answers[start : start + count]
        start += count
