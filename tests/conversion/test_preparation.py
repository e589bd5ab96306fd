"""From data to conversions, as a campaign does it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from orchestrator import fidelity, isolated, preparation
from orchestrator.artifacts import Artifact, Cache, sha256_of
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.zoo import MODELS
from tests.conversion import behaviours
from tests.sources import SEED, TRAINING, Source, targets

PARAMETERS = {"keras": 142_346, "pytorch": 61_706}
"""Of the study."""


def _details(artifact: Artifact) -> dict[str, Any]:
    return artifact.details


def test_a_trained_model_has_the_studys_parameters_and_reads_digits_it_never_saw(source: Source) -> None:
    details = _details(source.artifact)
    assert MODELS["lenet5", source.framework].parameters == details["parameters"] == PARAMETERS[source.framework]
    accuracy = (source.answers.argmax(axis=1) == source.inputs.labels).mean()
    assert accuracy > 0.95
    assert details["epochs"] == TRAINING.epochs
    assert details["ended_by"] == "epochs"
    assert details["pretrained"] is False
    # Keras's copy in the study held optimizer state: none for plain descent, PyTorch's holds a momentum per weight.
    momenta = 4 * details["parameters"] if source.framework == "pytorch" else 0
    assert details["bytes_with_optimizer"] == pytest.approx(source.artifact.size_bytes + momenta, rel=0.1)
    assert source.artifact.format == {"keras": "keras", "pytorch": "pt2"}[source.framework]


def test_a_source_artifact_holds_weights_only(source: Source) -> None:
    """No optimizer state, no test samples, nothing about the machine that made it."""
    content = source.artifact.path.read_bytes()
    assert len(content) < 4 * PARAMETERS[source.framework] + 60_000
    assert str(Path(__file__).parents[2]).encode() not in content


def test_what_was_made_is_not_made_again(cache: Cache, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = partial(preparation.convert, cache, source.artifact, source.framework, precision="float32")
    made = [convert(format_) for format_ in targets(source.framework)]
    monkeypatch.setattr(isolated, "call", lambda *_, **__: pytest.fail("made again"))
    origin = preparation.Origin("lenet5", source.framework, "digits")
    inputs = preparation.prepare_inputs(cache, origin)
    assert inputs.sha256 == source.inputs.sha256
    artifact = preparation.prepare_source(cache, origin, TRAINING, SEED)
    assert artifact == source.artifact
    answers = preparation.source_answers(cache, artifact, source.framework, inputs)
    assert np.array_equal(answers["output_0"], source.answers)
    assert [convert(format_) for format_ in targets(source.framework)] == made
    assert preparation.convert(cache, artifact, source.framework, artifact.format, "float32") is artifact


def test_a_damaged_artifact_is_made_again_with_the_same_bytes(cache: Cache, source: Source) -> None:
    for format_ in targets(source.framework):
        first = preparation.convert(cache, source.artifact, source.framework, format_, "float32")
        first.path.write_bytes(first.path.read_bytes()[:-1])
        again = preparation.convert(cache, source.artifact, source.framework, format_, "float32")
        assert again.sha256 == first.sha256 == sha256_of(again.path)


def test_training_stops_at_its_time_budget_and_gives_the_same_bytes_again(tmp_path: Path, source: Source) -> None:
    budget = TRAINING.model_copy(update={"time_budget_s": 1e-3})
    caches = [Cache(tmp_path / name) for name in ("one", "other")]
    origin = preparation.Origin("lenet5", source.framework, "digits")
    told: list[str] = []
    one, other = (preparation.prepare_source(c, origin, budget, SEED, told.append) for c in caches)
    assert _details(one)["steps"] == 1
    assert _details(one)["ended_by"] == "time_budget"
    assert told[0].startswith("epoch 1: ")
    assert one.sha256 == other.sha256 != source.artifact.sha256


def test_onnx_answers_as_its_source_in_any_batch(cache: Cache, source: Source) -> None:
    artifact = preparation.convert(cache, source.artifact, source.framework, "onnx", "float32")
    model = onnx.load(artifact.path)
    onnx.checker.check_model(model, full_check=True)
    assert _details(artifact)["opset"] == model.opset_import[0].version
    assert artifact.size_bytes < 1.02 * 4 * PARAMETERS[source.framework] + 100_000
    assert str(Path(__file__).parents[2]).encode() not in artifact.path.read_bytes()

    session = onnxruntime.InferenceSession(artifact.path, providers=["CPUExecutionProvider"])
    assert [(given.name, given.shape[0]) for given in session.get_inputs()] == [("input", "batch")]
    assert [(output.name, output.shape) for output in session.get_outputs()] == [("output_0", ["batch", 10])]
    inputs = np.load(source.inputs.path)["input"]
    (answers,) = session.run(None, {"input": inputs})
    alone = np.concatenate([session.run(None, {"input": inputs[i : i + 1]})[0] for i in range(20)])
    found = fidelity.compare(source.answers, answers, source.inputs.labels, alone)
    assert found.label_agreement == 1.0
    assert found.max_abs_error <= 1e-4
    assert found.batch_invariant


def test_onnx_in_float16_takes_and_gives_float32_and_has_half_the_size(cache: Cache, source: Source) -> None:
    artifact = preparation.convert(cache, source.artifact, source.framework, "onnx", "float16")
    assert artifact.size_bytes < 1.02 * 2 * PARAMETERS[source.framework] + 50_000
    session = onnxruntime.InferenceSession(artifact.path, providers=["CPUExecutionProvider"])
    assert [(given.name, given.type, given.shape[0]) for given in session.get_inputs()] == [
        ("input", "tensor(float)", "batch")
    ]
    (answers,) = session.run(["output_0"], {"input": np.load(source.inputs.path)["input"]})
    assert answers.dtype == np.float32
    found = fidelity.compare(source.answers, answers, source.inputs.labels, None)
    assert found.label_agreement > 0.99
    assert 0 < found.max_abs_error <= 1e-2 * max(1.0, float(np.abs(source.answers).max()))


@pytest.mark.parametrize(("precision", "weight_bytes"), [("float32", 4), ("float16", 2)])
def test_core_ml_is_an_ml_program_with_its_weights(
    cache: Cache, source: Source, precision: str, weight_bytes: int, tmp_path: Path
) -> None:
    artifact = preparation.convert(cache, source.artifact, source.framework, "coreml", precision)
    shape = list(np.load(source.inputs.path)["input"].shape[1:])
    found: dict[str, Any] = isolated.call(
        f"{behaviours.__name__}:describe_package",
        timeout_s=120,
        stage=Stage.LOAD,
        archive=str(artifact.path),
        folder=str(tmp_path / "model.mlpackage"),
    )
    assert found["specification_version"] == _details(artifact)["specification_version"] >= 6
    assert found["inputs"] == [["input", [1, *shape], "FLOAT32"]]
    assert found["outputs"] == [["output_0", [], "FLOAT32"]]  # whose shape depends on the batch
    assert {"conv", "relu"} <= set(found["operators"])
    # Biases of a few bytes stand in the specification instead.
    assert found["weights_bytes"] == pytest.approx(weight_bytes * PARAMETERS[source.framework], rel=0.02)
    assert artifact.size_bytes < 1.02 * weight_bytes * PARAMETERS[source.framework] + 100_000 * weight_bytes / 4


@pytest.mark.parametrize(("framework", "operator"), [("keras", "Svd"), ("pytorch", "bessel_j0")])
def test_an_operator_that_a_converter_does_not_know_is_named(
    cache: Cache, tmp_path: Path, framework: str, operator: str
) -> None:
    model = tmp_path / "model"
    writer = f"{behaviours.__name__}:write_unconvertible_{framework}"
    isolated.call(writer, timeout_s=120, stage=Stage.EXPORT, target=str(model))
    source = cache.store(f"unknown {framework}", model, format="own", precision="float32", details={})
    for format_ in targets(framework):
        with pytest.raises(CaseFailure, match=operator) as caught:
            preparation.convert(cache, source, framework, format_, "float32")
        assert (caught.value.stage, caught.value.symptom) == (Stage.CONVERT, Symptom.UNSUPPORTED_OPERATOR)


def test_a_source_that_is_no_model_is_a_failure_of_its_conversion(cache: Cache, source: Source, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no model")
    artifact = cache.store("text", tmp_path / "text", format="own", precision="float32", details={})
    with pytest.raises(CaseFailure) as caught:
        preparation.convert(cache, artifact, source.framework, "onnx", "float32")
    assert (caught.value.stage, caught.value.symptom) == (Stage.CONVERT, Symptom.CRASH)
    assert caught.value.message
