"""The clean process: `python -m runners.worker FD SERVER_PID`, exec'd anew for each job.

It reads its job from the socket FD, answers and ends. It dies with its server, and when memory ends it is the first
that the kernel takes.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

from runners import sandbox, trial
from runners.channel import Channel
from runners.failure import Failure, unexpected
from runners.jobs import Plan, Session, StopRule

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """One job."""
    descriptor, server_pid = map(int, sys.argv[1:])
    _die_with(server_pid)
    channel = Channel(descriptor)
    job = channel.receive().header
    try:
        sandbox.enter(Path(os.environ["TMPDIR"]), _given(job))
        _JOBS[job["job"]](channel, job)
    except Failure as failure:
        _send_failure(channel, failure)
    except Exception as error:
        _send_failure(channel, unexpected("measure", error))


def describe(channel: Channel, job: dict[str, Any]) -> None:
    """What only the framework knows of this runner."""
    adapter = trial.import_runtime(job["runtime"])
    from runners import arrays  # as where a trial imports them: after the framework
    from runners.measure import reference

    described = {
        "versions": adapter.versions() | arrays.versions() | reference.versions(),
        "devices": adapter.devices(),
        "formats": adapter.FORMATS,
    }
    channel.send({"description": described})


def measure(channel: Channel, job: dict[str, Any]) -> None:
    """One trial; the phases are announced between what is measured."""
    session, plan, rule = Session(**job["session"]), Plan(**job["plan"]), StopRule(**job["stop_rule"])
    result = trial.run(session, plan, rule, lambda phase: channel.send({"phase": phase}))
    channel.send({"result": result})


def predict(channel: Channel, job: dict[str, Any]) -> None:
    """Answers one batch after the other, until its server ends it."""
    session = Session(**job["session"])
    channel.send({"phase": "load"})
    with trial.failing_at("load"):
        adapter = trial.import_runtime(session.runtime)
        trial.require(adapter, session)
        model = trial.load(adapter, session)
        trial.require_placement(model, session.device)
    from runners import arrays  # a trial must not find NumPy imported

    channel.send({"phase": "first"})
    with trial.failing_at("infer"):
        while True:
            batch = arrays.feed(model, arrays.from_tensors(channel.receive().tensors))
            outputs = model.fetch(model.bind(batch, compute_only=False)())
            channel.send({}, arrays.to_tensors(outputs))


def _given(job: dict[str, Any]) -> list[Path]:
    """The files that the job is about."""
    named = (job.get("session", {}).get("artifact"), job.get("plan", {}).get("inputs"))
    return [Path(name) for name in named if name]


def _send_failure(channel: Channel, failure: Failure) -> None:
    channel.send({"failure": {"stage": failure.stage, "symptom": failure.symptom, "message": failure.message}})


def _die_with(server_pid: int) -> None:
    """Linux; elsewhere the next use of the socket ends an orphan."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server_pid:  # it died before we asked
        sys.exit(1)
    Path("/proc/self/oom_score_adj").write_text("1000")


_JOBS = {"describe": describe, "measure": measure, "predict": predict}

if __name__ == "__main__":
    main()
