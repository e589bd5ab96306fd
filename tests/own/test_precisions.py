"""Precisions as an axis: what is made of a model in smaller numbers, how large it is, and that it answers alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.own.command import FUNCTIONS, portbench


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_each_precision_is_smaller_and_answers_nearly_alike(cache: Path, tmp_path: Path) -> None:
    function = f"{FUNCTIONS}:dense_images"
    asked = ("--to", "onnx,coreml", "--precision", "float32,float16,int8")
    ended = portbench(cache, "convert", function, *asked, "--out", str(tmp_path), "--json")
    assert ended.returncode == 0, ended.stdout
    made: list[dict[str, Any]] = json.loads(ended.stdout)
    sizes = {(each["format"], each["precision"]): each["size_bytes"] for each in made}
    for form in ("onnx", "coreml"):
        assert sizes[form, "float16"] < 0.6 * sizes[form, "float32"]
        assert sizes[form, "int8"] < 0.35 * sizes[form, "float32"]
    details = next(each["details"] for each in made if (each["format"], each["precision"]) == ("onnx", "int8"))
    assert (details["calibrated_on"], details["calibration_samples"]) == ("its function's inputs", 32)
    for each in made:
        tolerance = {"float32": "1e-5", "float16": "1e-2", "int8": "0.1"}[each["precision"]]
        agreed = portbench(cache, "verify", function, each["file"], "--tolerance", tolerance)
        assert agreed.returncode == 0, f"{each['file']}: {agreed.stdout}"


def test_a_model_that_came_in_onnx_is_reduced_and_held_against_itself(cache: Path, tmp_path: Path) -> None:
    made = portbench(cache, "convert", f"{FUNCTIONS}:dense_images", "--to", "onnx", "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr
    arguments = ("--precision", "float32,float16,int8", "--runtime", "onnxruntime", "--batch", "8")
    out = tmp_path / "out"
    model = str(tmp_path / "dense_images.onnx")
    ended = portbench(cache, "bench", model, *arguments, "--launcher", "process", "--out", str(out))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(portbench(cache, "report", str(out), "--json").stdout)
    assert [case["precision"] for case in found] == ["float32", "float16", "int8"]
    ratios = [case["ratio_to_source"] for case in found]
    assert ratios[0] is None
    assert all(ratios[1:])
    assert found[2]["artifact_bytes"] < 0.35 * found[0]["artifact_bytes"]
