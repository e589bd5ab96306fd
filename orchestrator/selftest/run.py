"""All checks, one runner after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from orchestrator import scratch
from orchestrator.errors import CaseFailure
from orchestrator.launch import Launcher
from orchestrator.progress import Narrator
from orchestrator.selftest import behaviours, model, overhead, server, subjects
from orchestrator.selftest.check import KINDS, Check, not_made
from orchestrator.selftest.place import Place, Subject, place
from orchestrator.selftest.settings import Settings


@dataclass(frozen=True)
class _Session:
    """What groups of checks need; `prepare` gives the ONNX model that is timed."""

    settings: Settings
    prepare: Callable[[], Subject]
    folder: Path
    narrator: Narrator


@dataclass(frozen=True)
class _Group:
    """Checks that are made at once with one runner."""

    runner: str
    names: tuple[str, ...]
    make: Callable[[Place, _Session], list[Check]]


def _overhead(place: Place, session: _Session) -> list[Check]:
    return overhead.check(place, subjects.nothing(session.folder), session.settings.repeats)


def _sleep(place: Place, session: _Session) -> list[Check]:
    return behaviours.check_sleep(place, session.folder, session.settings.repeats)


def _allocations(place: Place, session: _Session) -> list[Check]:
    return behaviours.check_allocations(place, session.folder, session.settings.repeats)


def _model(place: Place, session: _Session) -> list[Check]:
    subject, settings = session.prepare(), session.settings
    pool = model.collect(place, subject, settings, lambda: session.narrator.end("a process that times the model"))
    return model.evaluate(pool, settings)


def _long(place: Place, session: _Session) -> list[Check]:
    subject, settings = session.prepare(), session.settings
    return model.long_scatter(model.collect_long(place, subject, settings))


def _server(place: Place, session: _Session) -> list[Check]:
    return server.check(place, session.prepare(), session.settings.window_s)


_GROUPS = (
    _Group("null", ("null_overhead_ns",), _overhead),
    _Group("known", ("sleep_error",), _sleep),
    _Group("known", ("allocation_error",), _allocations),
    _Group(
        "onnxruntime-cpu",
        ("bare_loop_ratio", "aa_false_alarms", "shift_detected", "plain_cv", "undisturbed_cv"),
        _model,
    ),
    _Group("onnxruntime-cpu", ("long_plain_cv", "long_undisturbed_cv"), _long),
    _Group("onnxruntime-cpu", ("server_cpu_share",), _server),
)


def run(launcher: Launcher, prepare: Callable[[], Subject], narrator: Narrator, settings: Settings) -> list[Check]:
    """Every check of `KINDS`, in its order; one that cannot be made says why and is not ok.

    Args:
        launcher: starts the runners.
        prepare: gives the ONNX model that is timed; see subjects.quick_model.
        narrator: hears what is under way.
        settings: how much is measured.
    """
    narrator.expect(len(_GROUPS) + settings.processes)
    with scratch.folder() as folder:
        session = _Session(settings, prepare, folder, narrator)
        by_runner = groupby(_GROUPS, key=lambda group: group.runner)
        made = [check for runner, groups in by_runner for check in _with(runner, list(groups), launcher, session)]
    order = list(KINDS)
    return sorted(made, key=lambda check: order.index(check.name))


def _with(runner: str, groups: list[_Group], launcher: Launcher, session: _Session) -> Iterator[Check]:
    session.narrator.begin(f"starting the runner {runner}")
    try:
        with place(launcher, runner) as found:
            for group in groups:
                yield from _make(group, found, session)
    except CaseFailure as failure:
        yield from (not_made(name, failure.message) for group in groups for name in group.names)


def _make(group: _Group, found: Place, session: _Session) -> list[Check]:
    """What prevents these checks takes nothing from the others."""
    what = ", ".join(group.names)
    session.narrator.begin(what)
    try:
        return group.make(found, session)
    except CaseFailure as failure:
        return [not_made(name, failure.message) for name in group.names]
    finally:
        session.narrator.end(what)
