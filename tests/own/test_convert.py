"""`portbench convert`, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from orchestrator.conversion import CONVERSIONS
from tests.own import factories
from tests.own.command import FUNCTIONS, ROOT, portbench


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def convert(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return portbench(cache, "convert", *arguments)


def test_a_torch_module_of_a_function_becomes_files_that_answer_as_it_does(cache: Path, tmp_path: Path) -> None:
    ended = convert(
        cache, f"{FUNCTIONS}:two_inputs", "--precision", "float32,float16", "--out", str(tmp_path), "--json"
    )
    made: list[dict[str, Any]] = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert [(each["format"], each["precision"], Path(each["file"]).name) for each in made] == [
        ("onnx", "float32", "two_inputs.onnx"),
        ("onnx", "float16", "two_inputs-float16.onnx"),
        ("coreml", "float32", "two_inputs.mlpackage"),
        ("coreml", "float16", "two_inputs-float16.mlpackage"),
    ]
    assert made[2]["details"]["batch_sizes"] == [1, 512]
    model, examples = factories.two_inputs()
    wanted = model(**examples)
    session = onnxruntime.InferenceSession(tmp_path / "two_inputs.onnx")
    answers = session.run(None, {name: tensor.numpy() for name, tensor in examples.items()})
    for expected, answer in zip(wanted, answers, strict=True):
        np.testing.assert_allclose(answer, expected.detach().numpy(), atol=1e-6)


def test_what_a_keras_model_captures_and_compiles_becomes_a_part_of_its_conversions(
    cache: Path, tmp_path: Path
) -> None:
    function = f"{FUNCTIONS}:keras_with_captured_constants"
    ended = convert(cache, function, "--to", "onnx,coreml", "--out", str(tmp_path), "--json")
    assert ended.returncode == 0, ended.stdout
    agreed = portbench(cache, "verify", function, str(tmp_path / "keras_with_captured_constants.onnx"))
    assert agreed.returncode == 0, agreed.stdout


def test_a_package_of_a_torch_module_takes_many_batches_whatever_it_makes_of_their_sizes(
    cache: Path, tmp_path: Path
) -> None:
    function = f"{FUNCTIONS}:torch_of_open_sizes"
    ended = convert(cache, function, "--to", "coreml", "--out", str(tmp_path), "--json")
    (made,) = json.loads(ended.stdout)
    assert made["details"]["batch_sizes"][-1] == 512, made["details"].get("fixed_batch_because")
    agreed = portbench(cache, "verify", function, str(tmp_path / "torch_of_open_sizes.mlpackage"))
    assert agreed.returncode == 0, agreed.stdout


def test_a_savedmodel_is_converted_and_what_cannot_be_is_said(cache: Path, tmp_path: Path) -> None:
    saved = tmp_path / "doubler"
    subprocess.run(
        [sys.executable, "-c", f"from {FUNCTIONS} import savedmodel; savedmodel({str(saved)!r})"], cwd=ROOT, check=True
    )
    inspected = json.loads(portbench(cache, "inspect", str(saved)).stdout)
    assert (inspected["format"], inspected["inputs"]) == ("savedmodel", {"given": "float [?, 4]"})
    assert inspected["operators"]["MatMul"] == 1
    ended = convert(cache, str(saved), "--to", ",".join(CONVERSIONS), "--out", str(tmp_path))
    assert ended.returncode == 1
    told = " ".join(ended.stdout.split())
    for name, conversion in CONVERSIONS.items():
        refused = f"{name} float32: convert refused: nothing converts savedmodel to {name}"
        assert (refused in told) == ("tensorflow" not in conversion.distributions)
    session = onnxruntime.InferenceSession(tmp_path / "doubler.onnx")
    given = np.arange(8, dtype=np.float32).reshape(2, 4)
    doubled, summed = session.run(["output_0", "output_1"], {"input": given})
    np.testing.assert_allclose(doubled, given * 2)
    np.testing.assert_allclose(summed, given @ np.ones((4, 2)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.onnx",), "nothing.onnx: there is no such file"),
        ((f"{FUNCTIONS}:raises",), "FileNotFoundError: weights.bin is not here"),
        ((f"{FUNCTIONS}:onnx_alone", "--to", "onyx"), "--to onyx: unknown; choose from"),
        ((f"{FUNCTIONS}:onnx_alone", "--precision", "int3"), "--precision int3: unknown; choose from"),
    ],
)
def test_a_mistake_is_one_line(cache: Path, arguments: tuple[str, ...], words: str) -> None:
    ended = convert(cache, *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
