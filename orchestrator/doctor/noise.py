"""How disturbed this machine is, by the harness's own reference; see docs/interference.md."""

import numpy as np

from orchestrator import scratch
from orchestrator.doctor.finding import Finding, ok, warning
from orchestrator.doctor.machine import Machine
from orchestrator.results.interference import MIN_UNDISTURBED_SAMPLES, Booleans, TrialSamples
from orchestrator.selftest import processes, subjects
from orchestrator.suite import StopRule

_DEFAULT = StopRule()
MEASURED_S = _DEFAULT.max_time_s
MOST_DISTURBED = 0.1
_QUIETER = "close other programs, set the governor performance, keep a core free (isolcpus), or take a quieter machine"
_ALLOCATED_BYTES = 256 << 10
"""Keeps the core busy for about 0.1 ms a sample: of shorter ones a trial would be full before its time is over."""
_RULE = StopRule(min_time_s=MEASURED_S, max_time_s=MEASURED_S, min_undisturbed_samples=0, max_warmup_s=0.1)


def noise(machine: Machine) -> Finding:
    """Times something of known length, for the references around its blocks."""
    with scratch.folder() as folder:
        measured = machine.place.time(subjects.known(folder, allocate_bytes=_ALLOCATED_BYTES), _RULE)
    (judged,) = processes.judged([measured], processes.pace([measured]))
    return evaluate(judged)


def evaluate(trial: TrialSamples) -> Finding:
    """What the blocks of one process, that measured as long as a trial may, say about trials to come."""
    disturbed = 1 - float(np.mean(trial.undisturbed))
    slowest = float(np.quantile(trial.slowdowns, 0.95))
    found = (
        f"{disturbed:.0%} of {len(trial.undisturbed)} blocks were disturbed; one in 20 was slowed {slowest:.2f} times"
    )
    if disturbed <= MOST_DISTURBED:
        return ok(f"{found}: figures will be 'undisturbed'")
    if trial.undisturbed.sum() < MIN_UNDISTURBED_SAMPLES:
        few = f"a trial of {MEASURED_S:g} s has fewer than {MIN_UNDISTURBED_SAMPLES} undisturbed samples"
        return warning(f"{found}: {few}, cases will be 'unstable'", _QUIETER)
    prolonged = f"{_prolonged(trial.undisturbed):.0%} of trials take longer than {_DEFAULT.min_time_s:g} s"
    means = "short samples are taken between disturbances, those above 1 ms 'adjusted'"
    return warning(f"{found}: {means}; {prolonged}", _QUIETER)


def _prolonged(undisturbed: Booleans) -> float:
    """The share of stretches as long as a trial's least time that are not enough to end it, with a sample per block."""
    stretches = np.array_split(undisturbed, round(MEASURED_S / _DEFAULT.min_time_s))
    return float(np.mean([stretch.sum() < _DEFAULT.min_undisturbed_samples for stretch in stretches]))
