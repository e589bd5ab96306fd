"""A Dask cluster as the place of heavy work: files travel with a call, which is a process on some worker's machine.

Nothing is shared with the workers but the code: what a call makes there is what it would make here, for every worker is
asked each time whether it has the same portbench and the same packages.
"""

import logging
import platform
import re
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from distributed import Client, KilledWorker, Security, WorkerPlugin, get_worker

from orchestrator import isolated
from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.workplace import Files, versions

SLICE_S = 300.0
"""After that long, what is finished in kept folders comes home, and the call begins anew with it, maybe elsewhere."""

_CONNECT_TIMEOUT_S = 5.0
_WORKERS_TIMEOUT_S = 10.0
_CHECK_S = 5.0
"""How often a call that takes long looks whether the scheduler is still there, and has workers."""
_PATIENCE_S = 60.0
"""How long a scheduler may be without a worker."""
_TOPIC = "portbench"
"""Of the scheduler's events, by which calls tell how they go."""
_ADDRESS = re.compile(r"(tcp|tls)://([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_REMEDY = "give it the build host's portbench and packages, and start the scheduler and every worker with those"

Contents: TypeAlias = dict[str, bytes]
"""By `argument/name of the file`."""


@dataclass(frozen=True)
class Step:
    """A call as it travels; the paths of `files` are relative. `made_with` is what the build host would use."""

    function: str
    files: Files
    timeout_s: float
    stage: Stage
    kwargs: dict[str, JSON]
    slice_s: float
    spent_s: float
    made_with: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: with a `result` and its output files, with a `failure`, or with neither as its slice was over;
    then, and after a failure, `files` are what it finished."""

    files: Contents
    result: dict[str, JSON] | None = None
    failure: tuple[Stage, Symptom, str] | None = None
    spent_s: float = 0.0


def connect(address: str, slice_s: float = SLICE_S) -> "Cluster":
    """The cluster with its scheduler at `address`; for tls:// Dask's own configuration has the certificates.

    Raises:
        UsageError: that is no address, nobody answers, there is no worker, or one would make something else than this
            machine.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--dask {address}: not an address; write tcp://HOST:PORT or tls://HOST:PORT")
    if address.startswith("tls:") and not Security().get_connection_args("client").get("ssl_context"):
        told = "Dask's configuration names no certificates; set distributed.comm.tls there"
        raise UsageError(f"--dask {address}: {told}")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they would say ends as a row, or in one line
    try:
        client = Client(address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False)
    except Exception as error:  # of the network, of TLS, or of another version of Dask
        told = f"no Dask scheduler answers ({_one_line(error)}); start one there: .venv/bin/dask scheduler"
        raise UsageError(f"--dask {address}: {told}") from None
    try:
        _check(client)
    except UsageError as error:
        client.close()
        raise UsageError(f"--dask {address}: {error}") from None
    return Cluster(client, slice_s)


def _check(client: Client) -> None:
    try:
        client.wait_for_workers(1, _WORKERS_TIMEOUT_S)
    except TimeoutError:
        raise UsageError("the scheduler has no worker; start some: .venv/bin/dask worker ADDRESS") from None
    for worker, differing in client.run(differences, made_with(), on_error="return").items():
        if differing:
            told = f"no such portbench ({_one_line(differing)})" if isinstance(differing, Exception) else differing
            raise UsageError(f"the worker {worker} has {told}; {_REMEDY}")
    client.register_plugin(_Ender())


class Cluster:
    """See `workplace.Workplace`; calls go through the executor of Dask's client."""

    def __init__(self, client: Client, slice_s: float) -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)
        self._slice_s = slice_s
        self._stopped = False
        self._sent: dict[Path, Any] = {}
        self._listeners: dict[str, Callable[[str], None]] = {}
        client.subscribe_topic(_TOPIC, self._hear)

    @property
    def room(self) -> int:
        """The workers' threads, each of which waits for one process."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def call(
        self,
        function: str,
        /,
        *,
        files: Files,
        timeout_s: float,
        stage: Stage,
        on_told: Callable[[str], None] = lambda _told: None,
        **kwargs: JSON,
    ) -> dict[str, JSON]:
        """See `workplace.Workplace`; the result has `made_on`, the worker's address, besides.

        Raises:
            CaseFailure: also (refused) the worker would make something else than this machine, (crash) it died of it
                as often as Dask allows, or (unavailable) the cluster went away.
        """
        spent_s = 0.0
        while True:
            step = Step(function, _relative(files), timeout_s, stage, kwargs, self._slice_s, spent_s, made_with())
            outcome = self._outcome(step, files, on_told)
            _bring_home(outcome.files, files)
            if outcome.failure:
                raise CaseFailure(*outcome.failure)
            if outcome.result is not None:
                return outcome.result
            spent_s += outcome.spent_s

    def stop(self) -> None:
        """See `workplace.Workplace`; the workers end their processes."""
        self._stopped = True
        isolated.stop()
        self._executor.shutdown(wait=False)

    def close(self) -> None:
        """See `workplace.Workplace`; the cluster forgets what it was sent."""
        self._client.close()

    def _outcome(self, step: Step, files: Files, on_told: Callable[[str], None]) -> Outcome:
        try:
            try:
                return self._attempt(step, files, on_told)
            except CancelledError:  # a worker was lost, and with it files that only it had: all is sent once more
                return self._attempt(step, files, on_told)
        except Exception as error:  # whatever can happen between machines
            if self._stopped:
                raise isolated.StoppedError from None
            symptom = Symptom.CRASH if isinstance(error, KilledWorker) else Symptom.UNAVAILABLE
            lost = isinstance(error, CancelledError)
            told = "a worker or the scheduler was lost, twice" if lost else _one_line(error)
            message = f"{step.function} was not done on the Dask cluster: {told}; see the logs of its workers"
            raise CaseFailure(step.stage, symptom, message) from None

    def _attempt(self, step: Step, files: Files, on_told: Callable[[str], None]) -> Outcome:
        key = f"{_TOPIC}:{step.function}-{uuid.uuid4()}"
        sent = {f"{name}/{path.name}": self._send(path) for name, path in files.inputs.items()}
        sent |= {name: self._client.scatter(path.read_bytes(), hash=False) for name, path in _finished(files).items()}
        self._listeners[key] = on_told
        future = self._executor.submit(perform, step, sent, key=key)
        try:
            while True:
                try:
                    outcome: Outcome = future.result(_CHECK_S)
                    return outcome
                except TimeoutError:
                    self._client.wait_for_workers(1, _PATIENCE_S)
        finally:
            future.cancel()
            del self._listeners[key]

    def _send(self, path: Path) -> Any:
        """To one worker, once; from there the workers fetch it themselves."""
        sent = self._sent.get(path)
        if sent is None or sent.status != "finished":
            sent = self._sent[path] = self._client.scatter(path.read_bytes(), hash=False)
        return sent

    def _hear(self, event: tuple[float, dict[str, str]]) -> None:
        """Everybody on the cluster hears everything."""
        _, told = event
        listener = self._listeners.get(told["step"])
        if listener:
            listener(told["told"])


def made_with() -> dict[str, str]:
    """What decides the bytes of an artifact, besides what goes into it: the packages' versions and our own code."""
    modules = sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        modules.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return versions() | {"processor": platform.machine(), "portbench's modules": modules.hexdigest()[:12]}


def differences(wanted: dict[str, str]) -> str:
    """In what this process would not make what one `made_with` that would, in words; empty if in nothing."""
    found = made_with()
    return ", ".join(
        f"{name} {found.get(name, 'missing')} (build host: {wanted.get(name, 'missing')})"
        for name in dict.fromkeys((*wanted, *found))
        if found.get(name) != wanted.get(name)
    )


class _SliceOverError(Exception):
    """What is finished is to be brought home."""


class _Ender(WorkerPlugin):  # type: ignore[misc]  # Dask is not type-checked
    """Ends the processes of steps that nobody waits for: cancelled, or the build host is gone, or the worker closes."""

    name = _TOPIC
    idempotent = True

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:  # noqa: ARG002 - Dask's signature
        if (start, finish) == ("executing", "released") and str(key).startswith(f"{_TOPIC}:"):
            _calls_of(key).stop()

    def teardown(self, worker: Any) -> None:  # noqa: ARG002 - Dask's signature
        for calls in list(_under_way.values()):
            calls.stop()


_under_way: dict[str, isolated.Calls] = {}


def _calls_of(key: str) -> isolated.Calls:
    """Of a step of this worker, be it that its thread has not begun yet."""
    return _under_way.setdefault(key, isolated.Calls())


def perform(step: Step, sent: Contents) -> Outcome:
    """Does a step; runs on a worker, as a task of Dask."""
    worker = get_worker()
    differing = differences(step.made_with)
    if differing:
        message = f"the Dask worker {worker.address} has {differing}; {_REMEDY}"
        return Outcome({}, failure=(step.stage, Symptom.REFUSED, message))
    key = worker.get_current_task()
    try:
        with tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
            files = _below(Path(folder), step.files)
            for name, content in sent.items():
                (Path(folder) / name).write_bytes(content)
            return _perform(step, files, worker, key)
    finally:
        _under_way.pop(key, None)


def _perform(step: Step, files: Files, worker: Any, key: str) -> Outcome:
    begin_s, known = time.monotonic(), _finished(files)

    def finished() -> dict[str, Path]:
        return {name: path for name, path in _finished(files).items() if name not in known}

    def tell(told: str) -> None:
        worker.log_event(_TOPIC, {"step": key, "told": told})
        if time.monotonic() - begin_s > step.slice_s and finished():
            raise _SliceOverError

    try:
        result = isolated.call(
            step.function,
            timeout_s=step.timeout_s,
            stage=step.stage,
            on_told=tell,
            spent_s=step.spent_s,
            among=_calls_of(key),
            **files.arguments(),
            **step.kwargs,
        )
    except _SliceOverError:
        return Outcome(_contents(finished()), spent_s=time.monotonic() - begin_s)
    except CaseFailure as failure:
        return Outcome(_contents(finished()), failure=(failure.stage, failure.symptom, failure.message))
    outputs = {f"{name}/{path.name}": path for name, path in files.outputs.items()}
    return Outcome(_contents(outputs), result | {"made_on": worker.address})


def _relative(files: Files) -> Files:
    """A folder per argument."""
    inputs, outputs = (
        {name: Path(name) / path.name for name, path in paths.items()} for paths in (files.inputs, files.outputs)
    )
    return Files(inputs, outputs, {name: Path(name) for name in files.kept})


def _below(folder: Path, files: Files) -> Files:
    """In `folder`, where there is room for them."""
    for path in (*files.inputs.values(), *files.outputs.values()):
        (folder / path).parent.mkdir()
    for path in files.kept.values():
        (folder / path).mkdir()
    inputs, outputs, kept = (
        {name: folder / path for name, path in paths.items()} for paths in (files.inputs, files.outputs, files.kept)
    )
    return Files(inputs, outputs, kept)


def _finished(files: Files) -> dict[str, Path]:
    """What is complete in the kept folders."""
    return {
        f"{name}/{path.name}": path
        for name, folder in files.kept.items()
        if folder.is_dir()
        for path in folder.iterdir()
        if path.is_file()
    }


def _contents(paths: dict[str, Path]) -> Contents:
    return {name: path.read_bytes() for name, path in paths.items()}


def _bring_home(contents: Contents, files: Files) -> None:
    """A file of its final name is complete."""
    for name, content in contents.items():
        argument, _, file = name.partition("/")
        path = files.kept[argument] / file if argument in files.kept else files.outputs[argument]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            whole = Path(folder) / "file"
            whole.write_bytes(content)
            whole.replace(path)


def _one_line(words: object) -> str:
    return " ".join(str(words).split()) or type(words).__name__
