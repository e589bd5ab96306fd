"""Do the answers of a converted model agree with the source's? Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import CaseFailure, Stage, Symptom

_BATCH_TOLERANCE = 1e-3
"""Share of the largest answer by which batching may change one: another order of summation, in float16 too."""


@dataclass(frozen=True)
class Fidelity:
    """Shares are 0 to 1, errors are absolute differences to the source's answers over all outputs of all samples.

    `accuracy` is None without labels, `batch_invariant` None where nothing was asked one at a time.
    """

    samples: int
    accuracy: float | None
    label_agreement: float
    max_abs_error: float
    mean_abs_error: float
    batch_invariant: bool | None


def compare(
    expected: NDArray[Any], answers: NDArray[Any], labels: NDArray[Any] | None, one_at_a_time: NDArray[Any] | None
) -> Fidelity:
    """Compares `answers` with the source's, both (samples, classes), or (samples,) or (samples, 1) for a probability.

    `one_at_a_time` are the answers to the first samples when each was asked alone.

    Raises:
        CaseFailure: (compare, wrong-output) shapes differ, or an answer is not a finite number.
    """
    _refuse_unlike(expected, answers)
    differences = np.abs(answers.astype(np.float64) - expected.astype(np.float64))
    answered = classes(answers)
    return Fidelity(
        samples=len(answers),
        accuracy=None if labels is None else float((answered == labels).mean()),
        label_agreement=float((answered == classes(expected)).mean()),
        max_abs_error=float(differences.max()),
        mean_abs_error=float(differences.mean()),
        batch_invariant=None if one_at_a_time is None else _equal(one_at_a_time, answers[: len(one_at_a_time)]),
    )


def _refuse_unlike(expected: NDArray[Any], answers: NDArray[Any]) -> None:
    if not answers.size or answers.shape != expected.shape:
        shapes = f"answers have the shape {answers.shape}, the source's {expected.shape}"
        message = f"{shapes}; check what the conversion did to the model's outputs"
        raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message)
    for whose, values in (("the source's", expected), ("the", answers)):
        bad = int((~np.isfinite(values).reshape(len(values), -1).all(axis=1)).sum())
        if bad:
            found = f"{whose} answers to {bad} of {len(values)} samples hold NaN or infinity"
            message = f"{found}; check the model's arithmetic in this precision"
            raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message)


def classes(answers: NDArray[Any]) -> NDArray[np.int64]:
    """The most probable class of each sample; the first of equals. Of one probability the class is 1 above a half."""
    if answers.ndim == 1 or answers.shape[-1] == 1:
        return (answers.reshape(len(answers)) > 0.5).astype(np.int64)
    found: NDArray[np.int64] = answers.argmax(axis=-1)
    return found


def _equal(alone: NDArray[Any], batched: NDArray[Any]) -> bool:
    if alone.shape != batched.shape or not np.array_equal(classes(alone), classes(batched)):
        return False
    return bool(np.allclose(alone, batched, rtol=0, atol=_BATCH_TOLERANCE * float(np.abs(batched).max(initial=0))))
