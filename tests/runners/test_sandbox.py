"""What a worker may no more, tried from inside, and that code in an artifact does not get to try it."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Stage, Symptom
from runners import sandbox
from tests.runners import models
from tests.runners.runner import Runner, failing

RunnerOf = Callable[[str], Runner]

ATTEMPTS = """
import json, os, resource, socket, subprocess, sys
from pathlib import Path
from runners import sandbox

temporary, given, secret, foreign = map(Path, sys.argv[1:])
sandbox.enter(temporary, [given])
listening = socket.socket()

def attempt(deed):
    try:
        deed()
    except (OSError, subprocess.CalledProcessError) as error:
        return type(error).__name__
    return "done"

print(json.dumps({
    "write in its folder": attempt(lambda: (temporary / "new").write_text("")),
    "write in a folder of its own there": attempt(lambda: (temporary / "a/b").mkdir(parents=True)),
    "reset its peak of memory": attempt(lambda: Path("/proc/self/clear_refs").write_text("5")),
    "read what it was given": attempt(given.read_text),
    "import": attempt(lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True)),
    "write elsewhere": attempt(lambda: (temporary.parent / "new").write_text("")),
    "write to what it was given": attempt(lambda: given.write_text("")),
    "remove what it was given": attempt(given.unlink),
    "read another of its owner's": attempt(secret.read_text),
    "read another owner's": attempt(foreign.read_text),
    "read in the home folder": attempt((Path.home() / "secret").read_text),
    "write through a child": attempt(lambda: subprocess.run(["touch", temporary.parent / "new"], check=True)),
    "connect": attempt(lambda: listening.connect(("127.0.0.1", 9))),
    "listen": attempt(lambda: listening.bind(("127.0.0.1", 0))),
    "signal its parent": attempt(lambda: os.kill(os.getppid(), 0)),
    "dump core": resource.getrlimit(resource.RLIMIT_CORE)[1],
}))
"""


@pytest.mark.skipif(sandbox.landlock_abi() < 6, reason="this kernel lacks a part of Landlock")
def test_a_worker_keeps_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    home, folder, owner, other = (tmp_path / name for name in ("home", "own", "store/me", "store/other"))
    for path in (home, folder, owner, other):
        path.mkdir(parents=True)
        (path / "secret").write_text("")
    (owner / "artifact").write_text("")
    arguments = [str(path) for path in (folder, owner / "artifact", owner / "secret", other / "secret")]
    run = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, *arguments],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout)
    done = {name for name, how in found.items() if how == "done"}
    assert done == {
        *("write in its folder", "write in a folder of its own there", "reset its peak of memory"),
        *("read what it was given", "import"),
    }
    assert found.pop("dump core") == 0
    assert not (tmp_path / "new").exists()


def test_a_worker_of_a_runner_is_in_its_sandbox(runner_of: RunnerOf) -> None:
    runner, seen = runner_of("known"), []
    session = runner.session(b'{"allocate_bytes": 0, "hold_ns": 1000000}', "known")
    call = runner.stub.Measure(runner.request(session, models.inputs(1)))
    for response in call:
        if response.phase == "steady":
            (worker,) = runner.workers()
            seen = [Path(f"/proc/{worker}/{name}").read_text() for name in ("status", "limits")]
    status, limits = seen
    assert "NoNewPrivs:\t1" in status
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")] == [["0", "0"]]
    assert runner.client.describe().environment["landlock_abi"] == sandbox.landlock_abi()


class _Deed:
    """Its pickle leaves a file behind when somebody loads it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def _pickled_pt2(folder: Path, trace: Path) -> bytes:
    import torch

    inputs = io.BytesIO()
    torch.save((_Deed(trace),), inputs)
    replaced = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(models.dense("pt2", folder))) as whole, zipfile.ZipFile(replaced, "w") as packed:
        for name in whole.namelist():
            packed.writestr(name, inputs.getvalue() if name.endswith("sample_inputs/model.pt") else whole.read(name))
    return replaced.getvalue()


def _opaque_pt2(folder: Path, trace: Path) -> bytes:
    artifact = io.BytesIO(models.dense("pt2", folder))
    with zipfile.ZipFile(artifact, "a") as packed:
        root = packed.namelist()[0].partition("/")[0]
        packed.writestr(f"{root}/data/constants/opaque_obj_0", pickle.dumps(_Deed(trace)))
    return artifact.getvalue()


def _lambda_keras(folder: Path, trace: Path) -> bytes:
    import keras

    path = str(trace)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: (open(path, "w"), x)[1])])  # noqa: SIM115, PTH123
    model.save(folder / "lambda.keras")
    trace.unlink()
    return (folder / "lambda.keras").read_bytes()


@pytest.mark.parametrize(
    ("runtime", "form", "make", "words"),
    [
        ("pytorch", "pt2", _pickled_pt2, "weights_only"),
        ("pytorch", "pt2", _opaque_pt2, "would execute code"),
        ("keras", "keras", _lambda_keras, "safe_mode"),
    ],
    ids=["pickled inputs", "pickled constant", "Lambda"],
)
def test_code_in_an_artifact_is_not_executed(
    runner_of: RunnerOf, runtime: str, form: str, make: Callable[[Path, Path], bytes], words: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    session = runner_of(runtime).session(make(tmp_path, trace), form)
    with failing(Stage.LOAD, Symptom.REFUSED, words):
        list(runner_of(runtime).client.predict(session, [{"x": models.inputs(1)}], 60))
    assert not trace.exists()
