"""Own models in campaigns: `portbench bench`, and `portbench run` of a suite that names them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.own.command import FUNCTIONS, ROOT, portbench

SUITE = """
name: mine
models:
  - {{path: four.onnx, inputs: given.npz, tolerance: {{float32: 1.0e-6}}}}
  - {{path: words.onnx, inputs: words.npz}}
  - factory: {functions}:two_inputs
  - factory: {functions}:raises
formats: [onnx, pt2]
runtimes: [onnxruntime, openvino, pytorch]
batch_sizes: [4]
trials: {{timing: 1, memory: 0}}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def write_model_of_four_samples(path: Path) -> None:
    """With its weights in a file beside it."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 3]) for name in ("given", "halved")]
    half = numpy_helper.from_array(np.eye(3, dtype=np.float32) / 2, "half")
    graph = helper.make_graph([helper.make_node("MatMul", ["given", "half"], ["halved"])], "half", *zip(ends), [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def write_model_of_texts(path: Path) -> None:
    """An encoder of words as other words, as scikit-learn's converter writes it."""
    ends = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in ("word", "translated")]
    words = {"keys_strings": ["one", "two", "three"], "values_strings": ["eins", "zwei", "drei"]}
    node = helper.make_node("LabelEncoder", ["word"], ["translated"], domain="ai.onnx.ml", **words)
    graph = helper.make_graph([node], "words", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_a_suite_of_own_models_gives_a_row_for_each_that_works_and_for_the_one_that_does_not(
    cache: Path, tmp_path: Path
) -> None:
    write_model_of_four_samples(tmp_path / "four.onnx")
    np.savez(tmp_path / "given.npz", given=np.eye(3, dtype=np.float32)[np.arange(9) % 3], labels=np.arange(9) % 3)
    write_model_of_texts(tmp_path / "words.onnx")
    np.savez(tmp_path / "words.npz", word=np.array(["three", "one"]), labels=np.array(["drei", "zwei"]))
    (tmp_path / "mine.yaml").write_text(SUITE.format(functions=FUNCTIONS))
    ended = portbench(
        cache, "run", str(tmp_path / "mine.yaml"), "--launcher", "process", "--out", str(tmp_path / "out")
    )
    assert ended.returncode == 1, ended.stderr
    rows = rows_of(tmp_path / "out")
    failed = [row for row in rows if row["status"] == "failed"]
    assert {(row["model"], row["runtime"], row["stage"], row["symptom"]) for row in failed} == {
        ("raises", None, "train", "crash"),
        ("words", "openvino", "load", "unsupported-operator"),
    }
    assert "FileNotFoundError: weights.bin is not here" in " ".join(ended.stdout.split())
    timed = {(row["model"], row["format"]) for row in rows if row["timing"]}
    assert timed == {("four", "onnx"), ("words", "onnx"), ("two_inputs", "pt2"), ("two_inputs", "onnx")}
    assert {row["runtime"] for row in rows if row["timing"] and row["model"] == "four"} == {"onnxruntime", "openvino"}
    checks = {(row["model"], row["format"]): row["check"] for row in rows if row.get("check")}
    assert (checks["four", "onnx"]["samples"], checks["four", "onnx"]["accuracy"]) == (8, 1.0)
    assert (checks["words", "onnx"]["label_agreement"], checks["words", "onnx"]["accuracy"]) == (1.0, 0.5)
    assert checks["two_inputs", "onnx"]["max_abs_error"] < 1e-6


def test_bench_holds_what_becomes_of_a_savedmodel_against_its_own_answers(cache: Path, tmp_path: Path) -> None:
    saved = tmp_path / "doubler"
    subprocess.run(
        [sys.executable, "-c", f"from {FUNCTIONS} import savedmodel; savedmodel({str(saved)!r})"], cwd=ROOT, check=True
    )
    out = tmp_path / "out"
    arguments = ("--runtime", "onnxruntime", "--batch", "2", "--launcher", "process", "--out", str(out))
    ended = portbench(cache, "bench", str(saved), *arguments)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert "doubler from tensorflow (synthetic inputs), on local, cpu" in ended.stdout
    checks = [row["check"] for row in rows_of(out) if row.get("check")]
    assert len(checks) == 1
    assert checks[0]["max_abs_error"] < 1e-6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.onnx",), "nothing.onnx: there is no such file"),
        (("README.md",), "README.md: torn, or in no known format"),
        (("nowhere.at_all:model",), "nowhere"),
        ((f"{FUNCTIONS}:onnx_alone", "--runtime", "onnxrt"), "--runtime onnxrt: unknown runtime; choose from"),
        ((f"{FUNCTIONS}:onnx_alone", "--runtime", "pytorch"), "choose --runtime and --device from onnxruntime (cpu)"),
        ((f"{FUNCTIONS}:onnx_alone", "--batch", "0"), "batch_sizes[0]: Input should be greater than or equal to 1"),
        ((f"{FUNCTIONS}:onnx_alone", "--precision", "int3"), "precisions[0]: unknown precision; choose from"),
    ],
)
def test_a_mistake_is_one_line(cache: Path, arguments: tuple[str, ...], words: str) -> None:
    ended = portbench(cache, "bench", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
