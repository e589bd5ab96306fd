"""A function called in a process of its own, so that whatever a framework or converter does there ends as a result or a `CaseFailure`."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom

_ENVIRONMENT = {
    # One thread each: the order of sums, hence the bytes of what is made, must not depend on the machine's number of cores.
    **dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
_OUT_OF_MEMORY = re.compile(r"bad_alloc|can't allocate memory|cannot allocate memory|OOM when allocating", re.IGNORECASE)
_TAIL_BYTES = 4096
_MESSAGE_CHARACTERS = 600


def call(function: str, /, *, timeout_s: float, stage: Stage, **kwargs: JSON) -> dict[str, JSON]:
    """Calls `package.module:function` with `kwargs` in a fresh process of its own session.

    The process has this one's module path. It and all it started are gone when this returns, and when this process dies.

    Returns:
        What the function returned, a dictionary, with `duration_ns` (the function, without the import of its module) and
        `peak_bytes` (highest resident size of the process, None where the kernel does not tell) added.

    Raises:
        CaseFailure: it crashed, raised, ran longer than `timeout_s` or out of memory; `stage` unless the function says another.
    """
    request = json.dumps({"function": function, "stage": stage, "kwargs": kwargs}).encode() + b"\n"
    receiver, sender = Pipe(duplex=False)
    with receiver, tempfile.TemporaryFile() as log:
        with sender:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.isolated", str(sender.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[sender.fileno()],
                start_new_session=True,
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        try:
            answer = _answer(process, receiver, request, timeout_s)
        except TimeoutError:
            message = f"{function} took longer than the {timeout_s:g} s it was allowed; allow more or use a smaller model"
            raise CaseFailure(stage, Symptom.TIMEOUT, message) from None
        finally:
            _end(process)
        if answer is None:
            raise _death(function, process.returncode, stage, log)
    if "failure" in answer:
        failure = answer["failure"]
        raise CaseFailure(Stage(failure["stage"]), Symptom(failure["symptom"]), failure["message"])
    result: dict[str, JSON] = answer["result"]
    return result


@contextmanager
def failing_at(stage: Stage) -> Iterator[None]:
    """Within a called function: what fails in this block fails at `stage`."""
    try:
        yield
    except CaseFailure:
        raise
    except Exception as error:
        raise _failure(error, stage) from error


def _answer(
    process: subprocess.Popen[bytes], receiver: Connection, request: bytes, timeout_s: float
) -> dict[str, dict[str, str]] | None:
    """None when the process died without an answer. Its stdin stays open: that it closes tells the process that we are gone."""
    assert process.stdin
    with suppress(BrokenPipeError):
        process.stdin.write(request)
        process.stdin.flush()
    if not receiver.poll(timeout_s):
        raise TimeoutError
    try:
        answer: dict[str, dict[str, str]] = json.loads(receiver.recv_bytes())
    except EOFError:
        return None
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """Not yet waited for, the process keeps its number, so that no other group can be hit."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdin
    with suppress(BrokenPipeError):
        process.stdin.close()


def _death(function: str, returncode: int, stage: Stage, log: IO[bytes]) -> CaseFailure:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
    tail = log.read().decode(errors="replace")
    last_words = _one_line(tail)[-_MESSAGE_CHARACTERS:]
    if returncode == -signal.SIGKILL or _OUT_OF_MEMORY.search(tail):
        message = f"{function} was killed for lack of memory; give it more or use a smaller model: {last_words}"
        return CaseFailure(stage, Symptom.OUT_OF_MEMORY, message)
    how = f"by {signal.Signals(-returncode).name}" if returncode < 0 else f"with exit code {returncode}"
    return CaseFailure(stage, Symptom.CRASH, f"{function} died {how}: {last_words or 'it said nothing'}")


def _failure(error: Exception, stage: Stage) -> CaseFailure:
    if isinstance(error, CaseFailure):
        return error
    text = _one_line(str(error))
    out_of_memory = isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text)
    message = f"{type(error).__name__}: {text}"[:_MESSAGE_CHARACTERS]
    return CaseFailure(stage, Symptom.OUT_OF_MEMORY if out_of_memory else Symptom.CRASH, message)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _serve(sender: Connection) -> None:
    """The child's life: one request from stdin, one answer, the end."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        module, _, name = request["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        begin_ns = time.perf_counter_ns()
        result = function(**request["kwargs"])
        measured = {"duration_ns": time.perf_counter_ns() - begin_ns, "peak_bytes": _peak_bytes()}
        answer = {"result": result | measured}
    except Exception as error:
        traceback.print_exc()
        failure = _failure(error, Stage(request["stage"]))
        answer = {"failure": {"stage": failure.stage, "symptom": failure.symptom, "message": failure.message}}
    sender.send_bytes(json.dumps(answer).encode())


def _die_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def _peak_bytes() -> int | None:
    """The kernel's VmHWM, which begins anew with each exec, unlike ru_maxrss."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else None


if __name__ == "__main__":
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    _serve(Connection(channel, readable=False))
    os._exit(0)  # without the frameworks' tear-down: all that matters has been sent
