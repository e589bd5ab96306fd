"""What functions do to the process that they are called in, and models that no converter knows."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import Stage
from orchestrator.isolated import call, failing_at
from orchestrator.robustness.chunks import Arrays, in_chunks


def answer(**given: Any) -> dict[str, Any]:
    print("a library's chatter on stdout")
    return {"given": given, "frameworks": [name for name in ("keras", "tensorflow", "torch") if name in sys.modules]}


def touch_memory(count_bytes: int) -> dict[str, Any]:
    return {"length": len(bytearray(b"\1") * count_bytes)}


def abort() -> dict[str, Any]:
    print("the library's last words", file=sys.stderr, flush=True)
    os.abort()


def leave() -> dict[str, Any]:
    sys.exit(3)


def fail() -> dict[str, Any]:
    raise ValueError("no such\nlayer")


def fail_at_export() -> dict[str, Any]:
    with failing_at(Stage.EXPORT):
        raise ValueError("no such layer")


def allocate() -> dict[str, Any]:
    raise MemoryError("8 EiB wanted")


def be_killed() -> dict[str, Any]:
    os.kill(os.getpid(), 9)
    return {}


def hang(pids: str) -> dict[str, Any]:
    """Starts a process and writes its number and the own one to the file `pids`."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pids).write_text(f"{os.getpid()} {child.pid}\n")
    time.sleep(600)
    return {}


def call_hang(pids: str) -> None:
    call(f"{__name__}:hang", timeout_s=600, stage=Stage.CONVERT, pids=pids)


def write_unconvertible_keras(target: str) -> dict[str, Any]:
    import keras

    given = keras.Input((4, 4), name="input")
    model = keras.Model(given, keras.ops.linalg.svd(given, compute_uv=False))
    model.save(f"{target}.keras")
    Path(f"{target}.keras").rename(target)
    return {}


def write_unconvertible_pytorch(target: str) -> dict[str, Any]:
    import torch

    class Bessel(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(given)

    program = torch.export.export(Bessel(), (torch.zeros(2, 4),))
    torch.export.save(program, f"{target}.pt2")
    Path(f"{target}.pt2").rename(target)
    return {}


def describe_package(archive: str, folder: str) -> dict[str, Any]:
    """What coremltools reads in a packed package."""
    sys.modules["tensorflow"] = sys.modules["torch"] = None  # type: ignore[assignment]  # reading takes neither
    import coremltools

    from runner_api.v1 import archives

    archives.unpack(Path(archive), Path(folder))
    specification = coremltools.utils.load_spec(folder)

    def signature(features: Any) -> list[Any]:
        kinds = [(feature.name, feature.type.multiArrayType) for feature in features]
        return [[name, list(kind.shape), kind.ArrayDataType.Name(kind.dataType)] for name, kind in kinds]

    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    weights = Path(folder) / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    return {
        "specification_version": specification.specificationVersion,
        "inputs": signature(specification.description.input),
        "outputs": signature(specification.description.output),
        "weights_bytes": weights.stat().st_size,
        "operators": sorted({operation.type for operation in block.operations}),
    }


def kill_parent(counted: str, times: int, **_given: Any) -> dict[str, Any]:
    """Kills the process that called it, and so itself; the file `counted` has a byte for each time, `times` at most."""
    path = Path(counted)
    done = path.stat().st_size if path.exists() else 0
    if done < times:
        path.write_bytes(b"x" * (done + 1))
        os.kill(os.getppid(), 9)
        time.sleep(600)
    return {}


def in_pieces(chunks: str, target: str, hang_at: int | None, pids: str) -> dict[str, Any]:
    """Counts to 4, one number at a time; at `hang_at` it hangs, and writes its number to the file `pids`."""

    def work(part: slice) -> Arrays:
        if part.start == hang_at:
            Path(pids).write_text(f"{os.getpid()}\n")
            time.sleep(600)
        return {"input": np.arange(part.start, part.stop)}

    made, _ = in_chunks(Path(chunks), 4, 1, work)
    np.savez(target, input=made["input"])
    return {}
