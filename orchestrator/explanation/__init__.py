"""Why a converted model answers otherwise than its source: the first value on the way that differs, and a small input.

Source and conversion are asked for all that they compute on the input that shows the difference best. Values are held
against each other where they are known to be the same one, see `matching`.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import isolated, verification
from orchestrator.artifacts import Artifact, Cache, sha256_of
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.explanation.matching import Match, Value, match
from orchestrator.explanation.smallest import Inputs, smallest
from orchestrator.own import Own
from orchestrator.own.inputs import Given

TIMEOUT_S = 900.0
MOST_SAMPLES = 512
"""Among them the one that shows a difference best is sought."""
_TRACES = {"keras": "trace_keras", "pt2": "trace_pytorch"}
_EXPOSURES = {"onnx": "expose_onnx", "coreml": "expose_coreml"}


@dataclass(frozen=True)
class Explanation:
    """What is known of a difference.

    `error` is the largest absolute error of an answer, that to the input number `sample`; `matches` are the values held
    against each other, in the source's order, `first` the first of them beyond `tolerance`; `unmatched` counts values
    of source and conversion without a counterpart. `suspects` are the conversion's operators behind the last value that
    agrees, up to the first that does not. `smallest` is an input of one sample that shows the difference, with
    `elements` that are not 0.
    """

    tolerance: float
    error: float
    sample: int
    matches: tuple[Match, ...]
    first: Match | None
    unmatched: tuple[int, int]
    suspects: tuple[Value, ...]
    smallest: Inputs
    elements: int


def explain(cache: Cache, source: Own, converted: Own, given: Given, tolerance: float) -> Explanation | None:
    """Nothing where all answers agree within `tolerance`.

    Raises:
        CaseFailure: a model cannot be loaded or asked, or its values cannot be had.
    """
    with np.load(given.path) as archive:
        arrays = {name: archive[name][:MOST_SAMPLES] for name in archive.files}
    with _asking(cache, source, converted, given) as errors:
        found = errors(arrays)
        sample = int(np.argmax(found))
        if found[sample] <= tolerance:
            return None
        shown = {name: array[sample : sample + 1] for name, array in arrays.items()}
        fewest, elements = smallest(shown, lambda inputs: errors(inputs) > tolerance)
    ours, theirs = (_values(cache, model, given, shown) for model in (source, converted))
    matches = match(ours, theirs)
    first = next((found for found in matches if found.max_abs_error > tolerance), None)
    unmatched = (len(ours) - len(matches), len(theirs) - len(matches))
    suspects = _suspects(theirs, matches, first)
    return Explanation(
        tolerance, float(found[sample]), sample, tuple(matches), first, unmatched, suspects, fewest, elements
    )


def _suspects(theirs: list[Value], matches: list[Match], first: Match | None) -> tuple[Value, ...]:
    """What stands, in the conversion, between the last value that agrees before `first` and `first`."""
    if first is None:
        return ()
    places = {id(value): place for place, value in enumerate(theirs)}
    end = places[id(first.converted)]
    before = [places[id(found.converted)] for found in matches[: matches.index(first)]]
    begin = max((place for place in before if place < end), default=-1)
    return tuple(theirs[begin + 1 : end + 1])


@contextmanager
def _asking(
    cache: Cache, source: Own, converted: Own, given: Given
) -> Iterator[Callable[[Inputs], NDArray[np.float64]]]:
    """Both models, loaded: of each sample of inputs the largest absolute error of an answer."""
    with (
        tempfile.TemporaryDirectory(dir=cache.root) as folder,
        verification.asking(source) as ask_source,
        verification.asking(converted) as ask_converted,
    ):
        batch = math.lcm(source.fixed_batch or 1, converted.fixed_batch or 1)

        def errors(inputs: Inputs) -> NDArray[np.float64]:
            samples = len(next(iter(inputs.values())))
            asked = _as_given(given, _whole(inputs, batch), Path(folder) / "inputs.npz")
            padded = -(-samples // batch) * batch
            expected, answers = ask_source(asked, padded), ask_converted(asked, padded)
            if [array.shape for array in expected] != [array.shape for array in answers]:
                message = f"{converted.name} has not as many outputs as {source.name}, or of other shapes"
                raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, f"{message}; compare what are the same outputs")
            return np.asarray(np.max([_furthest(*pair) for pair in zip(expected, answers, strict=True)], axis=0))[
                :samples
            ]

        yield errors


def _furthest(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.abs(ours.astype(np.float64) - theirs).reshape(len(ours), -1).max(axis=1))


def _whole(inputs: Inputs, batch: int) -> Inputs:
    """With the last sample repeated until batches are full."""
    missing = -len(next(iter(inputs.values()))) % batch
    return {name: np.concatenate([array, *[array[-1:]] * missing]) for name, array in inputs.items()}


def _values(cache: Cache, model: Own, given: Given, inputs: Inputs) -> list[Value]:
    """All that a model computes on these inputs."""
    form = model.artifact.format
    with tempfile.TemporaryDirectory(dir=cache.root) as folder:
        place = Path(folder)
        asked = _as_given(given, _whole(inputs, model.fixed_batch or 1), place / "inputs.npz")
        if form in _TRACES:
            traced = {"source": str(model.artifact.path), "inputs": str(asked.path)}
            told = _call(_TRACES[form], target=str(place / "values.npz"), **traced)
            with np.load(place / "values.npz") as archive:
                arrays = [archive[name] for name in archive.files]
        elif form in _EXPOSURES:
            told = _call(_EXPOSURES[form], source=str(model.artifact.path), target=str(place / "artifact"))
            exposed = replace(model, artifact=_stored(model.artifact, place / "artifact"))
            answers = verification.answers_of(cache, exposed, asked)
            arrays = [answers[each["name"]] for each in told["values"]]
        else:
            message = f"nothing tells what a {form} computes on its way; explain its conversion from another format"
            raise CaseFailure(Stage.COMPARE, Symptom.UNAVAILABLE, message)
    kinds = zip(told["values"], arrays, strict=True)
    return [Value(each["name"], each["operator"], array) for each, array in kinds]


def _call(function: str, **arguments: Any) -> dict[str, Any]:
    place = f"orchestrator.explanation.tracing:{function}"
    return isolated.call(place, timeout_s=TIMEOUT_S, stage=Stage.COMPARE, **arguments)


def _as_given(given: Given, inputs: Inputs, path: Path) -> Given:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **inputs)
    return replace(given, path=path, sha256=sha256_of(path))


def _stored(artifact: Artifact, path: Path) -> Artifact:
    return replace(artifact, sha256=sha256_of(path), size_bytes=path.stat().st_size, path=path)
