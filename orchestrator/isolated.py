"""A function called in a process of its own: whatever it does there ends as a result or as a `CaseFailure`."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from orchestrator import scratch
from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom

_ENVIRONMENT = {
    # One thread: the order of sums, hence the bytes of what is made, must not depend on the number of cores.
    **dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|can't allocate memory|cannot allocate memory|OOM when allocating", re.IGNORECASE
)
_CHILD = "from orchestrator.isolated import serve; serve()"
_TAIL_BYTES = 4096
_MESSAGE_CHARACTERS = 600


_to_parent: Connection | None = None
"""Set in the process of a call."""


class StoppedError(Exception):
    """The call was ended from another thread."""


class Calls:
    """The processes of calls under way, so that they can be ended from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    @contextmanager
    def under_way(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._processes.add(process)
            if self.stopped:
                _kill(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.remove(process)
                _kill(process)
                process.wait()

    def stop(self) -> None:
        """Ends all that are under way, and every later one as it begins; each raises StoppedError."""
        with self._lock:
            self.stopped = True
            for process in self._processes:
                _kill(process)


_calls = Calls()


def stop() -> None:
    """Ends all calls of this process that are not among others, see `Calls.stop`."""
    _calls.stop()


def call(
    function: str,
    /,
    *,
    timeout_s: float,
    stage: Stage,
    on_told: Callable[[str], None] = lambda _told: None,
    spent_s: float = 0.0,
    among: Calls = _calls,
    **kwargs: JSON,
) -> dict[str, JSON]:
    """Calls `package.module:function` with `kwargs` in a fresh process of its own session.

    The process has this one's module path. It, all it started and its temporary files are gone when this returns, and
    it ends when this process dies. What the function tells of its progress goes to `on_told`; what that raises ends the
    call. Of the time allowed, `spent_s` are over already.

    Returns:
        What the function returned, a dictionary, with `duration_ns` (the function, without the import of its module)
        and `peak_bytes` (highest resident size of the process, None where the kernel does not tell) added.

    Raises:
        CaseFailure: it crashed, raised, ran longer than `timeout_s` or out of memory. The stage is `stage` unless the
            function says another.
        StoppedError: `stop` was called, or that of the calls that it is `among`.
    """
    request = json.dumps({"function": function, "stage": stage, "kwargs": kwargs}).encode()
    channel, child_channel = Pipe()
    with channel, tempfile.TemporaryFile() as log, scratch.folder() as folder:
        with child_channel:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, str(child_channel.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[child_channel.fileno()],
                start_new_session=True,
                env=os.environ
                | _ENVIRONMENT
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(folder)},
            )
        try:
            with among.under_way(process):
                answer = _answer(channel, request, timeout_s - spent_s, on_told)
        except TimeoutError:
            message = (
                f"{function} took longer than the {timeout_s:g} s allowed; use a smaller model or a faster machine"
            )
            raise CaseFailure(stage, Symptom.TIMEOUT, message) from None
        if answer is None and among.stopped:
            raise StoppedError
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


def tell(progress: str) -> None:
    """Within a called function: a line on how it goes, for people."""
    if _to_parent is not None:
        _to_parent.send_bytes(json.dumps({"told": progress}).encode())


def _answer(
    channel: Connection, request: bytes, timeout_s: float, on_told: Callable[[str], None]
) -> dict[str, Any] | None:
    """None when the process died without an answer."""
    end_s = time.monotonic() + timeout_s
    try:
        channel.send_bytes(request)
        while channel.poll(max(0.0, end_s - time.monotonic())):
            answer: dict[str, Any] = json.loads(channel.recv_bytes())
            if "told" not in answer:
                return answer
            on_told(answer["told"])
    except (EOFError, ConnectionError):
        return None
    raise TimeoutError


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Not yet waited for, the process keeps its number, so that no other group can be hit."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


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


def serve() -> None:
    """The life of a call's process: one request, one answer, the end."""
    global _to_parent  # noqa: PLW0603 - whatever the function calls may tell something
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    channel = _to_parent = Connection(descriptor)
    request = json.loads(channel.recv_bytes())
    threading.Thread(target=_die_with_parent, args=(channel,), daemon=True).start()
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
    channel.send_bytes(json.dumps(answer).encode())
    os._exit(0)  # without the frameworks' tear-down: all that matters has been sent


def _die_with_parent(channel: Connection) -> None:
    """Nothing more is ever sent: what ends this wait is that the parent's end of the channel closes."""
    with suppress(EOFError, OSError):
        channel.recv_bytes()
    os.killpg(0, signal.SIGKILL)


def _peak_bytes() -> int | None:
    """The kernel's VmHWM, which begins anew with each exec, unlike ru_maxrss."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else None
