"""Models that people bring: what is made of a file or a function, and one line on what cannot be taken."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator import own, preparation
from orchestrator.artifacts import Cache
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.own import Own, inputs
from tests.own.factories import BATCH, BATCHES

FUNCTIONS = f"{__package__}.factories"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("own"))


def bring(cache: Cache, text: str) -> Own:
    return own.bring(cache, own.parse(text))


def test_a_torch_module_with_several_inputs_answers_after_each_conversion(cache: Cache) -> None:
    brought = bring(cache, f"{FUNCTIONS}:two_inputs")
    assert (brought.name, brought.source_framework) == ("two_inputs", "pytorch")
    assert [(each.name, each.dtype, each.shape) for each in brought.inputs] == [
        ("ids", "int64", (None, 5)),
        ("extra", "float32", (None, 4)),
    ]
    given = inputs.prepare(cache, brought, None, 8, 0)
    answers = preparation.source_answers(cache, brought.artifact, "pytorch", given)
    assert {name: array.shape for name, array in answers.items()} == {"output_0": (6, 3), "output_1": (6, 12)}
    for format_ in ("onnx", "coreml"):
        made = preparation.convert(cache, brought.artifact, "pytorch", format_, "float32")
        read = own.bring(cache, own.parse(str(made.path)))
        assert {each.name for each in read.inputs} == {"ids", "extra"}


def test_a_data_set_gives_inputs_and_labels(cache: Cache) -> None:
    brought = bring(cache, f"{FUNCTIONS}:keras_with_data")
    assert (brought.source_framework, brought.artifact.format) == ("keras", "keras")
    given = inputs.prepare(cache, brought, None, 8, 0)
    assert given.labels is not None
    assert given.labels.tolist() == [index for index in range(BATCHES) for _ in range(BATCH)]
    with np.load(given.path) as archive:
        assert [archive[name][:, 0].tolist() for name in archive.files] == [given.labels.tolist()]


def test_without_inputs_some_are_made_from_the_signature_and_said_to_be(cache: Cache) -> None:
    brought = bring(cache, f"{FUNCTIONS}:onnx_alone")
    given = inputs.prepare(cache, brought, None, 5, 0)
    assert given.name == inputs.SYNTHETIC
    with np.load(given.path) as archive:
        assert archive.files == ["left", "right"]
        assert {(array.shape, array.dtype.name) for array in archive.values()} == {((5, inputs.FREE_SIZE), "float32")}
    with np.load(inputs.prepare(cache, brought, None, 5, 0, {"width": 7}).path) as archive:
        assert {array.shape for array in archive.values()} == {(5, 7)}
    with pytest.raises(CaseFailure, match=r"called 'height'; there are width, left.1, right.1"):
        inputs.prepare(cache, brought, None, 5, 0, {"height": 7})
    assert inputs.prepare(cache, brought, None, 5, 0).sha256 == given.sha256
    assert inputs.prepare(cache, brought, None, 5, 1).sha256 != given.sha256


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"left": np.ones((2, 3), np.float32)}, "takes the inputs left, right, given are left"),
        ({"left": np.ones((2, 3), np.float32), "right": np.ones((2, 3))}, "'right' as float32 .*given is float64"),
        ({"left": np.ones((2, 3), np.float32), "right": np.ones(2, np.float32)}, r"'right' as float32 \(any, any\)"),
        ({"left": np.ones((2, 3), np.float32), "right": np.ones((3, 3), np.float32)}, "have 2 and 3 samples"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    cache: Cache, tmp_path: Path, arrays: dict[str, NDArray[Any]], words: str
) -> None:
    brought = bring(cache, f"{FUNCTIONS}:onnx_alone")
    archive = tmp_path / "data.npz"
    np.savez(archive, allow_pickle=False, **arrays)
    with pytest.raises(CaseFailure, match=words):
        inputs.prepare(cache, brought, archive, 5, 0)


def test_what_is_no_archive_is_refused(cache: Cache, tmp_path: Path) -> None:
    brought = bring(cache, f"{FUNCTIONS}:onnx_alone")
    (tmp_path / "data.npz").write_text("not one")
    with pytest.raises(CaseFailure, match=r"no \.npz archive"):
        inputs.prepare(cache, brought, tmp_path / "data.npz", 5, 0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("raises", "weights.bin is not here"),
        ("no_model", "gave a str; it must return a Keras model"),
        ("torch_alone", "says nothing of what it takes"),
        (
            "custom_layer",
            "factories:custom_layer: it has Mine of tests.own.factories, which safe loading does not know",
        ),
        ("missing", "has no attribute 'missing'"),
        ("BATCH", "factories:BATCH: it is a int; name a function"),
    ],
)
def test_a_function_that_gives_no_model_is_one_line(cache: Cache, function: str, words: str) -> None:
    with pytest.raises(CaseFailure, match=words) as raised:
        bring(cache, f"{FUNCTIONS}:{function}")
    assert "\n" not in raised.value.message


def test_what_is_no_model_is_one_line(cache: Cache, tmp_path: Path) -> None:
    file, folder = tmp_path / "text.onnx", tmp_path / "folder"
    file.write_text("not a model")
    folder.mkdir()
    for path in (file, folder):
        with pytest.raises(CaseFailure, match="in no known format") as raised:
            bring(cache, str(path))
        assert raised.value.message.startswith(f"{path}: torn, or ")
        assert "\n" not in raised.value.message
    with pytest.raises(UsageError, match="there is no such file"):
        own.parse(str(tmp_path / "no.onnx"))
