"""Keras's LeNet-5 as LiteRT has it; the recurrent networks are in test_study.py."""

from typing import Any

import numpy as np
import pytest

from orchestrator import fidelity, preparation
from orchestrator.artifacts import Cache
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inspection import inspect
from runners.adapters import litert
from tests.sources import Source


@pytest.mark.parametrize(("precision", "weight_bytes", "tolerance"), [("float32", 4, 1e-5), ("float16", 2, 1e-2)])
def test_lenet_answers_as_its_source_in_any_batch(
    cache: Cache, source: Source, precision: str, weight_bytes: int, tolerance: float
) -> None:
    if source.framework == "pytorch":
        with pytest.raises(CaseFailure, match="made from keras only") as caught:
            preparation.convert(cache, source.artifact, source.framework, "tflite", precision)
        assert (caught.value.stage, caught.value.symptom) == (Stage.CONVERT, Symptom.UNAVAILABLE)
        return
    artifact = preparation.convert(cache, source.artifact, source.framework, "tflite", precision)
    details: dict[str, Any] = artifact.details
    found: dict[str, Any] = inspect(path=str(artifact.path))
    assert (found.pop("format"), found) == ("tflite", {name: details[name] for name in found})
    assert (found["inputs"], found["outputs"]) == (
        {"input": "float32 [batch, 28, 28, 1]"},
        {"output_0": "float32 [batch, 10]"},
    )
    assert found["operators"]["CONV_2D"] == 3
    assert artifact.size_bytes == pytest.approx(142_346 * weight_bytes, rel=0.03)
    model = litert.load(artifact.path, "cpu", 2)
    assert model.threads_in_force() == {"intra_op": 2}
    samples = np.load(source.inputs.path)["input"]
    answers, alone = (
        model.fetch(model.bind({"input": batch}, compute_only=False)())["output_0"] for batch in (samples, samples[:1])
    )
    compared = fidelity.compare(source.answers, answers, source.inputs.labels, alone)
    assert compared.max_abs_error <= tolerance
    assert compared.batch_invariant
