"""`portbench verify`: two models agree within a tolerance, or not, or cannot be held against each other."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.own.command import FUNCTIONS, portbench


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def converted(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a torch module with two inputs, one of them whole numbers, which Core ML has in another width."""
    folder = tmp_path_factory.mktemp("converted")
    precisions = ("--precision", "float32,float16")
    ended = portbench(cache, "convert", f"{FUNCTIONS}:two_inputs", *precisions, "--out", str(folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.mark.parametrize("name", ["two_inputs.onnx", "two_inputs.mlpackage"])
def test_a_conversion_agrees_with_its_source(cache: Path, converted: Path, name: str) -> None:
    ended = portbench(cache, "verify", f"{FUNCTIONS}:two_inputs", str(converted / name), "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["inputs"], found["tolerance"]) == ("its function's inputs", 1e-4)
    assert [(each["shape"], each["agrees"], each["samples"]) for each in found["outputs"]] == [
        ([3], True, 6),
        ([12], True, 6),
    ]


def test_half_precision_agrees_within_its_own_tolerance_only(cache: Path, converted: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, ids=np.ones((4, 5), np.int64), extra=np.full((4, 4), 0.3, np.float32))
    pair = (str(converted / "two_inputs.onnx"), str(converted / "two_inputs-float16.mlpackage"))
    usual = portbench(cache, "verify", *pair, "--input", str(data))
    strict = portbench(cache, "verify", *pair, "--input", str(data), "--tolerance", "1e-7")
    assert (usual.returncode, strict.returncode) == (0, 1), usual.stderr + strict.stderr
    assert "4 samples, inputs: data.npz; tolerance of the max error: 0.01" in usual.stdout
    assert "DIFFERS" in strict.stdout


def test_models_that_take_or_answer_something_else_are_one_line(cache: Path, converted: Path, tmp_path: Path) -> None:
    onnx = str(converted / "two_inputs.onnx")
    data = tmp_path / "data.npz"
    np.savez(data, ids=np.ones((4, 5), np.int64))
    for arguments, words in (
        ((onnx, f"{FUNCTIONS}:keras_with_data"), "the model takes"),
        ((onnx, onnx, "--input", str(data)), "the model takes the inputs ids, extra, given are ids"),
    ):
        ended = portbench(cache, "verify", *arguments)
        assert ended.returncode == 2
        assert words in ended.stderr
        assert ended.stderr.count("\n") == 1
