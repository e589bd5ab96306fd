"""What an artifact tells of itself, and what is said of one that is torn."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator import preparation
from orchestrator.artifacts import Artifact, Cache
from orchestrator.errors import CaseFailure
from orchestrator.inspection import inspect
from runner_api.v1 import archives
from tests.sources import Source


def as_a_user(artifact: Path | str, cache: Cache) -> subprocess.CompletedProcess[str]:
    """`portbench inspect`."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("portbench")), "inspect", str(artifact)],
        env=os.environ | {"PORTBENCH_CACHE": str(cache.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def _details(artifact: Artifact) -> dict[str, Any]:
    return artifact.details


def test_every_format_tells_its_operators_and_inputs(cache: Cache, source: Source, tmp_path: Path) -> None:
    made = [
        preparation.convert(cache, source.artifact, source.framework, name, "float32") for name in ("onnx", "coreml")
    ]
    for artifact in (source.artifact, *made):
        found: dict[str, Any] = inspect(path=str(artifact.path))
        assert found["format"] == artifact.format
        assert sum(found["operators"].values()) == found["operator_count"] > 5
        for name in set(found) & set(artifact.details) - {"format"}:
            assert found[name] == artifact.details[name]
    onnx, coreml = (_details(artifact) for artifact in made)
    assert onnx["inputs"]["input"].startswith("float [batch, ")
    assert onnx["outputs"] == {"output_0": "float [batch, 10]"}
    assert coreml["inputs"]["input"].startswith("float32 [1, ")
    assert coreml["outputs"] == {"output_0": "float32"}  # of which the shape depends on the batch
    assert coreml["operators"]["conv"] == (3 if source.framework == "keras" else 2)
    folder = tmp_path / "model.mlpackage"
    archives.unpack(made[1].path, folder)
    assert inspect(path=str(folder))["operators"] == coreml["operators"]
    ended = as_a_user(made[0].sha256, cache)
    assert json.loads(ended.stdout)["opset"] == onnx["opset"], ended.stderr


def _without(archive: Path, ending: str, target: Path) -> Path:
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w") as part:
        for name in whole.namelist():
            if not name.endswith(ending):
                part.writestr(name, whole.read(name))
    return target


def test_what_is_no_artifact_is_one_line_that_names_it(cache: Cache, source: Source, tmp_path: Path) -> None:
    coreml = preparation.convert(cache, source.artifact, source.framework, "coreml", "float32")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    torn = tmp_path / "torn"
    torn.write_bytes(source.artifact.path.read_bytes()[:1000])
    weightless = _without(coreml.path, "weight.bin", tmp_path / "weightless.mlpackage.zip")
    onnx = tmp_path / "half"
    whole = preparation.convert(cache, source.artifact, source.framework, "onnx", "float32").path.read_bytes()
    onnx.write_bytes(whole[: len(whole) // 2])
    expected = {text: "known format", torn: "torn", onnx: "not onnx", weightless: "weights", tmp_path / "no": "no such"}
    for artifact, words in expected.items():
        with pytest.raises(CaseFailure, match=words) as caught:
            inspect(path=str(artifact))
        assert artifact.name in caught.value.message
    ended = as_a_user(text, cache)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
