"""A worker as seen from the server: started, listened to in a blocking call, ended with all that it started."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self, get_args

import psutil

from runners.channel import Channel, Message
from runners.failure import STAGE_OF_PHASE, Failure, Stage, Symptom, one_line, tells_of_exhaustion, words
from runners.measure import cgroup, cuda
from runners.measure.threads import environment
from runners.tensors import Tensor

_LAST_WORDS = 400
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of whatever its workers leave behind, so that it can be ended; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


class Worker:
    """A fresh process for one job.

    Args:
        threads: what mathematical libraries are told before they are loaded.
        timeout_s: wall time after which the worker is killed; None for no limit.
    """

    def __init__(self, threads: int, timeout_s: float | None) -> None:
        self._stage: Stage = "load"
        self._phase = "import"
        self._reason: Failure | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._folder = tempfile.TemporaryDirectory(prefix="pb-", ignore_cleanup_errors=True)
        self._kills_before = cgroup.out_of_memory_kills()
        self._channel, self._process = _start(threads, self._output.fileno(), self._folder.name)
        self._exit = [os.pidfd_open(self._process.pid)] if sys.platform == "linux" else []
        self._watchdog = threading.Timer(
            min(timeout_s or threading.TIMEOUT_MAX, threading.TIMEOUT_MAX), self._time_out, [timeout_s]
        )
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        with self._lock:
            self._kill_group()
            self._process.wait()
            _end_orphans()
            self._ended = True
        self._channel.close()
        self._output.close()
        self._folder.cleanup()
        for descriptor in self._exit:
            os.close(descriptor)

    def send(self, header: dict[str, Any], tensors: list[Tensor] | None = None) -> None:
        """Gives the worker its job, or more of it.

        Raises:
            Failure: as `receive`.
        """
        try:
            self._channel.send(header, tensors)
        except OSError:
            raise self._death() from None

    def receive(self) -> Message:
        """Sleeps until the worker says something.

        Raises:
            Failure: what the worker says went wrong; or how it died.
        """
        try:
            if self._channel.fileno() not in wait([self._channel.fileno(), *self._exit]):
                raise EOFError  # a child of the worker may still hold the other end of the socket
            message = self._channel.receive()
            return self._understood(message)
        except Failure:
            raise
        except (EOFError, OSError):
            raise self._death() from None
        except Exception as error:  # an artifact may have turned the worker against its server
            raise Failure(self._stage, "crash", f"the worker sent what cannot be read: {words(error)}") from error

    def _understood(self, message: Message) -> Message:
        if (failure := message.header.get("failure")) is not None:
            if failure["stage"] not in get_args(Stage) or failure["symptom"] not in get_args(Symptom):
                raise ValueError("a failure of no known kind")
            raise Failure(**failure)
        if (phase := message.header.get("phase")) is not None:
            self._stage, self._phase = STAGE_OF_PHASE[phase], phase
        return message

    def kill(self, reason: Failure) -> None:
        """Ends the worker from another thread; whoever waits for it gets `reason`."""
        with self._lock:
            if not self._ended:
                self._reason = self._reason or reason
                self._kill_group()

    def _time_out(self, timeout_s: float) -> None:
        message = f"not done after {timeout_s:g} s, in the phase {self._phase!r}; allow more time or find what hangs"
        self.kill(Failure(self._stage, "timeout", message))

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self._process.pid, signal.SIGKILL)

    def _death(self) -> Failure:
        """Why the worker is dead, by the evidence."""
        code = self._process.wait()
        if self._reason:
            return self._reason
        output = self._last_words()
        killed_for_memory = code == -signal.SIGKILL or cgroup.out_of_memory_kills() > self._kills_before
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        message = f"the worker {how} in the phase {self._phase!r}" + (f"; its last words: {output}" if output else "")
        if killed_for_memory or tells_of_exhaustion(output):
            return Failure(
                self._stage,
                "out-of-memory",
                f"{message}; memory ran out: give the runner more or choose a smaller batch",
            )
        return Failure(self._stage, "crash", message)

    def _last_words(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 4 * _LAST_WORDS))
        return one_line(self._output.read().decode(errors="replace")[-_LAST_WORDS:])


def _end_orphans() -> None:
    """Ends what the worker started in sessions of their own: a server has one worker at a time, no other children."""
    while orphans := psutil.Process().children(recursive=True):
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        psutil.wait_procs(orphans)


def _own_folders(temporary: str) -> dict[str, str]:
    """Where frameworks would else read and write among their user's files, or find what another trial compiled."""
    compiled = {"CUDA_CACHE_PATH": "cuda", "TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_HOME": "triton"}
    folders = {"KERAS_HOME": "keras", **compiled}
    return {"TMPDIR": temporary, **{name: f"{temporary}/{folder}" for name, folder in folders.items()}}


def _start(threads: int, output: int, temporary: str) -> tuple[Channel, subprocess.Popen[bytes]]:
    """`temporary` takes the files that frameworks leave behind; -P, lest the current folder's files pass for theirs."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runners.worker", str(theirs.fileno()), str(os.getpid())],
            env=os.environ | environment(threads) | cuda.ENVIRONMENT | _own_folders(temporary),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Channel(ours.detach()), process
