"""Do the answers of a converted model agree with the source's? Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from orchestrator.errors import CaseFailure, Stage, Symptom

_BATCH_TOLERANCE = 1e-3
"""Share of the largest answer by which batching may change one: another order of summation, in float16 too."""

_SMALLEST = 1e-12
"""Probability of a class that an answer excludes, where a logarithm is needed."""


@dataclass(frozen=True)
class Fidelity:
    """Shares are 0 to 1, absolute errors are differences to the source's answers over all outputs of all samples.

    `max_rel_error` is the largest over the samples of the largest difference over the largest of the source's answers;
    `min_cosine` the smallest cosine between both answers to a sample; `kl_divergence` the mean Kullback-Leibler
    divergence, in nats, of the answers from the source's, as distributions over the classes. `accuracy` is None without
    labels, `batch_invariant` None where nothing was asked one at a time.
    """

    samples: int
    accuracy: float | None
    label_agreement: float
    max_abs_error: float
    mean_abs_error: float
    max_rel_error: float
    min_cosine: float
    kl_divergence: float
    batch_invariant: bool | None


def compare(
    expected: NDArray[Any], answers: NDArray[Any], labels: NDArray[Any] | None, one_at_a_time: NDArray[Any] | None
) -> Fidelity:
    """Compares `answers` with the source's, both (samples, classes), or (samples,) or (samples, 1) for a probability.

    Texts are classes: another one is an error of 1 and another label. `one_at_a_time` are the answers to the first
    samples when each was asked alone.

    Raises:
        CaseFailure: (compare, wrong-output) shapes differ, or an answer is not a finite number.
    """
    if expected.dtype.kind == answers.dtype.kind == "U":
        expected, answers, labels, one_at_a_time = _numbered(expected, answers, labels, one_at_a_time)
    _refuse_unlike(expected, answers)
    ours, theirs = (values.reshape(len(values), -1).astype(np.float64) for values in (answers, expected))
    differences = np.abs(ours - theirs)
    answered = classes(answers)
    return Fidelity(
        samples=len(answers),
        accuracy=None if labels is None else float((answered == labels).mean()),
        label_agreement=float((answered == classes(expected)).mean()),
        max_abs_error=float(differences.max()),
        mean_abs_error=float(differences.mean()),
        max_rel_error=float(_ratio(differences.max(axis=1), np.abs(theirs).max(axis=1)).max()),
        min_cosine=float(_cosines(ours, theirs).min()),
        kl_divergence=float(_divergences(_distributions(theirs), _distributions(ours)).mean()),
        batch_invariant=None if one_at_a_time is None else _equal(one_at_a_time, answers[: len(one_at_a_time)]),
    )


def compare_outputs(
    expected: Sequence[NDArray[Any]],
    answers: Sequence[NDArray[Any]],
    labels: NDArray[Any] | None,
    one_at_a_time: Sequence[NDArray[Any]] | None,
) -> Fidelity:
    """As `compare`, of models with several outputs the worst of each figure; the labels are those of the first output.

    Raises:
        CaseFailure: (compare, wrong-output) as `compare`, or there are not as many outputs.
    """
    if len(expected) != len(answers):
        message = (
            f"the model has {len(answers)} outputs, the source {len(expected)}; check what the conversion did to them"
        )
        raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message)
    found = [
        compare(*pair, labels if index == 0 else None, None if one_at_a_time is None else one_at_a_time[index])
        for index, pair in enumerate(zip(expected, answers, strict=True))
    ]
    return Fidelity(
        samples=found[0].samples,
        accuracy=found[0].accuracy,
        label_agreement=min(each.label_agreement for each in found),
        max_abs_error=max(each.max_abs_error for each in found),
        mean_abs_error=max(each.mean_abs_error for each in found),
        max_rel_error=max(each.max_rel_error for each in found),
        min_cosine=min(each.min_cosine for each in found),
        kl_divergence=max(each.kl_divergence for each in found),
        batch_invariant=None if one_at_a_time is None else all(each.batch_invariant for each in found),
    )


def _numbered(
    expected: NDArray[Any], answers: NDArray[Any], labels: NDArray[Any] | None, one_at_a_time: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
    """Texts as one-hot vectors over all that occur, shape (samples, ..., texts); labels as their places among them."""
    known = np.unique(np.concatenate([expected.ravel(), answers.ravel()]))

    def places(texts: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.isin(texts, known), np.searchsorted(known, texts), -1)

    def one_hot(texts: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = places(texts)[..., np.newaxis] == np.arange(max(len(known), 2))
        return found.astype(np.float64)

    alone = None if one_at_a_time is None else one_hot(one_at_a_time)
    return one_hot(expected), one_hot(answers), None if labels is None else places(labels), alone


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


def _ratio(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where both are 0, 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(numerators == 0, 0.0, numerators / denominators)


def _cosines(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each sample; equal answers have 1, those of which only one is all zeros have 0."""
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.clip(_ratio((ours * theirs).sum(axis=1), lengths), -1.0, 1.0)
    return np.where((ours == theirs).all(axis=1), 1.0, cosines)


def _distributions(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities as they are, one probability with its complement, logits by softmax; (samples, classes)."""
    if answers.shape[1] == 1:
        return np.clip(np.hstack([1 - answers, answers]), 0.0, 1.0)
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-2):
        answers = np.log(np.maximum(answers, _SMALLEST))  # whose softmax they are, but for their sum
    probabilities: NDArray[np.float64] = special.softmax(answers, axis=1)
    return probabilities


def _divergences(source: NDArray[np.float64], converted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each sample; see `_SMALLEST`."""
    entropies = special.rel_entr(np.maximum(source, _SMALLEST), np.maximum(converted, _SMALLEST))
    divergences: NDArray[np.float64] = entropies.sum(axis=1)
    return divergences


def _equal(alone: NDArray[Any], batched: NDArray[Any]) -> bool:
    if alone.shape != batched.shape or not np.array_equal(classes(alone), classes(batched)):
        return False
    return bool(np.allclose(alone, batched, rtol=0, atol=_BATCH_TOLERANCE * float(np.abs(batched).max(initial=0))))
