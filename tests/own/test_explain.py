"""`portbench explain`: conversions that were broken by hand, and the operator that it names."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.own.command import FUNCTIONS, portbench


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def converted(cache: Path, function: str, folder: Path, *arguments: str) -> None:
    ended = portbench(cache, "convert", f"{FUNCTIONS}:{function}", "--out", str(folder), *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def broken(path: Path, operator: str, which: int) -> Path:
    """The model with another weight in the `which`-th node of that operator."""
    model = onnx.load(path)
    node = [node for node in model.graph.node if node.op_type == operator][which]
    weight = next(each for each in model.graph.initializer if each.name == node.input[1])
    values = numpy_helper.to_array(weight) * np.float32(1.5)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path.with_name("broken.onnx"))
    return path.with_name("broken.onnx")


@pytest.mark.parametrize(
    ("function", "operator", "which", "layer"),
    [("keras_images", "Conv", 1, "conv2d_1"), ("dense_images", "Gemm", 0, "linear")],
)
def test_the_operator_that_was_broken_is_named_and_a_smaller_input_shows_it(
    cache: Path, tmp_path: Path, function: str, operator: str, which: int, layer: str
) -> None:
    converted(cache, function, tmp_path, "--to", "onnx")
    model = broken(tmp_path / f"{function}.onnx", operator, which)
    small = tmp_path / "small.npz"
    ended = portbench(cache, "explain", f"{FUNCTIONS}:{function}", str(model), "--out", str(small), "--json")
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    assert found["first"]["source"] == layer
    assert operator in {each["operator"] for each in found["suspects"]}
    before = [value["max_abs_error"] for value in found["values"]]
    assert max(before[: found["values"].index(found["first"])], default=0) < 1e-4
    with np.load(small) as archive:
        (values,) = archive.values()
    assert np.count_nonzero(values) == found["smallest_elements"] < values.size / 4
    agreed = portbench(cache, "verify", f"{FUNCTIONS}:{function}", str(model), "--input", str(small))
    assert agreed.returncode == 1
    assert "DIFFERS" in agreed.stdout


def test_a_package_in_float16_parts_from_its_source_where_its_input_is_rounded(cache: Path, tmp_path: Path) -> None:
    converted(cache, "dense_images", tmp_path, "--to", "coreml", "--precision", "float16")
    package = str(tmp_path / "dense_images-float16.mlpackage")
    ended = portbench(cache, "explain", f"{FUNCTIONS}:dense_images", package, "--tolerance", "1e-6")
    assert ended.returncode == 1, ended.stderr
    assert "First: flatten 'flatten'. Look at cast 'input_to_fp16', reshape" in " ".join(ended.stdout.split())


def test_a_case_of_a_campaign_that_agrees_and_one_that_there_is_not(cache: Path, tmp_path: Path) -> None:
    asked = ("--runtime", "onnxruntime", "--batch", "1", "--launcher", "process", "--out", str(tmp_path / "out"))
    assert portbench(cache, "bench", f"{FUNCTIONS}:dense_images", *asked).returncode == 0
    inside = ("--in", str(tmp_path / "out"))
    agreed = portbench(cache, "explain", "dense_images/pytorch/onnx/float32", *inside)
    assert (agreed.returncode, "nothing to explain" in agreed.stdout) == (0, True), agreed.stderr
    unknown = portbench(cache, "explain", "dense_images/pytorch/onyx/float32", *inside)
    assert unknown.returncode == 2
    assert "there are dense_images/pytorch/onnx/float32" in unknown.stderr
    assert portbench(cache, "explain", "dense_images/pytorch/onnx/float32").stderr.count("\n") == 1
