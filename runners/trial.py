"""One trial from import to steady state; runs in a process that does nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runners.adapters import Adapter, CompiledModel, Model, Placement, import_adapter
from runners.failure import STAGE_OF_PHASE, Failure, Stage, unexpected, words
from runners.jobs import Plan, Session, StopRule
from runners.measure import device, timing
from runners.measure.recorders import Recorder, TimeRecorder

_HOLDERS: dict[str, tuple[str, ...]] = {
    "cpu": ("cpu", "CPUExecutionProvider"),
    "cuda": ("CUDAExecutionProvider", "TensorrtExecutionProvider"),  # and the device itself, which has a number
    "cpu_only": ("cpu", "undetermined"),
    "cpu_and_gpu": ("cpu", "gpu", "undetermined"),
    "cpu_and_ne": ("cpu", "neural-engine", "undetermined"),
    "all": ("cpu", "gpu", "neural-engine", "undetermined"),
}
"""Device, without its number -> what may hold a part of a graph that was asked to be there."""


def run(session: Session, plan: Plan, rule: StopRule, announce: Callable[[str], None]) -> dict[str, Any]:
    """The fields of the contract's TrialResult; `announce` is told each phase before it begins.

    Raises:
        Failure: at the stage of the phase in which it happened.
    """
    before = device.state(session.device)
    recorder = _recorder(plan, session.threads)

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        announce(name)
        with failing_at(STAGE_OF_PHASE[name]), recorder.phase(name):
            yield

    with phase("import"):
        adapter = import_runtime(session.runtime)
    with failing_at("load"):
        require(adapter, session)
    with phase("load"):
        model = load(adapter, session)
    if not adapter.MEASURES:
        raise Failure("measure", "refused", f"{session.runtime} is for answers only: its time and memory mean nothing")
    from runners import arrays  # here, because importing NumPy belongs to the first phase

    batch = arrays.feed(model, arrays.read_batch(Path(plan.inputs), plan.batch_size))
    with phase("first"):
        call = model.bind(batch, plan.compute_only)
        result = call()
    arrays.check(model.fetch(result))
    with phase("warmup"):
        warmup = timing.warm_up(call, rule.max_warmup_ns)
    with phase("steady"):
        recorder.steady(call, rule, warmup)
    after = device.state(session.device)
    if isinstance(model, CompiledModel) and not plan.memory:
        with failing_at("load"), recorder.phase("cached_load"):
            model.load_again()
    result = recorder.result()
    if plan.memory:
        result["memory"]["device_peak_bytes"] = model.device_peak_bytes()
        result["memory"]["device_delta_bytes"] = device.delta_bytes(before, after)
    read_back = {
        "placement": require_placement(model, session.device)._asdict(),  # now, when asking disturbs nothing any more
        "threads_in_force": model.threads_in_force(),
        "device_before": before,
        "device_after": after,
    }
    model.close()
    return result | read_back


def import_runtime(runtime: str) -> Adapter:
    """The runtime's adapter, and with it the framework.

    Raises:
        Failure: load, unavailable.
    """
    try:
        return import_adapter(runtime)
    except ImportError as error:
        raise Failure("load", "unavailable", f"{runtime} is not installed on this runner: {words(error)}") from error


def load(adapter: Adapter, session: Session) -> Model:
    """The session's artifact on its device.

    Raises:
        Failure: what the adapter raises.
    """
    return adapter.load(Path(session.artifact), session.device, session.threads)


def require(adapter: Adapter, session: Session) -> None:
    """Asks for the session's format and device, and the artifact for what may not be in it: that is not loading.

    Raises:
        Failure: load; refused or unavailable.
    """
    if adapter.FORMATS and session.format not in adapter.FORMATS:
        raise Failure(
            "load", "refused", f"{session.runtime} loads {', '.join(adapter.FORMATS)}; asked for {session.format!r}"
        )
    devices = adapter.devices()
    if session.device not in devices:
        has = f"{session.runtime} has {', '.join(devices) or 'no device'} here; asked for {session.device!r}"
        raise Failure("load", "unavailable", f"{has}: {device.remedy(session.device)}")
    adapter.check(Path(session.artifact))


def require_placement(model: Model, wanted: str) -> Placement:
    """Where the model is; the one place that judges it.

    Raises:
        Failure: load, placement: a part of it is not on the device `wanted`.
    """
    placement = model.placement()
    holders = (wanted, *_HOLDERS[wanted.partition(":")[0]])
    elsewhere = [
        f"{count} on {holder}" for holder, count in placement.counts.items() if count and holder not in holders
    ]
    if elsewhere:
        found = f"of its {placement.unit} {' and '.join(elsewhere)}"
        raise Failure("load", "placement", f"asked for {wanted!r}, found {found}; choose a device that takes all of it")
    return placement


@contextmanager
def failing_at(stage: Stage) -> Iterator[None]:
    """Makes whatever a framework raises a failure of this stage."""
    try:
        yield
    except Failure:
        raise
    except Exception as error:
        raise unexpected(stage, error) from error


def _recorder(plan: Plan, threads: int) -> Recorder:
    if not plan.memory:
        return TimeRecorder(plan.reference_best_ns, threads)
    from runners.measure.memory import MemoryRecorder  # what it imports stays out of timing trials

    return MemoryRecorder()
