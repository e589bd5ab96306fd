"""Between the contract's messages and the results' sections. Pure."""

from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict

from orchestrator.cases import ArtifactName, Trial
from orchestrator.results import interference
from orchestrator.results.schema import (
    MemorySample,
    MemorySection,
    PhaseMemory,
    Placement,
    TimingSection,
)
from orchestrator.suite import Suite
from runner_api.v1 import runner_pb2 as api

_KINDS = {"timing": api.TRIAL_KIND_TIMING, "memory": api.TRIAL_KIND_MEMORY}


def session(artifact: ArtifactName, sha256: str, device: str, threads: int) -> api.Session:
    """What a runner is to execute, where and how."""
    return api.Session(artifact_sha256=sha256, format=artifact.format, device=device, threads=threads)


def measure_request(
    trial: Trial, suite: Suite, artifact_sha256: str, inputs_sha256: str, reference_best_ns: float
) -> api.MeasureRequest:
    """What the runner is asked for one trial; `reference_best_ns` is 0 while the best reference is unknown."""
    case, rule = trial.case, suite.stop_rule
    return api.MeasureRequest(
        session=session(case.artifact, artifact_sha256, case.device, case.threads),
        kind=_KINDS[trial.kind],
        inputs_sha256=inputs_sha256,
        batch_size=case.batch_size,
        compute_only=suite.compute_only,
        stop_rule=api.StopRule(
            min_samples=rule.min_samples,
            min_time_ns=_ns(rule.min_time_s),
            min_undisturbed_samples=rule.min_undisturbed_samples,
            max_time_ns=_ns(rule.max_time_s),
            max_warmup_ns=_ns(rule.max_warmup_s),
        ),
        timeout_ns=_ns(suite.trial_timeout_s),
        reference_best_ns=reference_best_ns,
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def fields(result: api.TrialResult, request: api.MeasureRequest, reference_best_ns: float) -> dict[str, Any]:
    """The fields of a row that a trial's result fills; `reference_best_ns` is the best when the trial had ended.

    Raises:
        ValidationError: the result does not hold together.
    """
    common = {
        "placement": Placement(counts=dict(result.placement.counts), unit=result.placement.unit),
        "threads_in_force": dict(result.threads_in_force),
        "device_before": MessageToDict(result.device_before) or None,
        "device_after": MessageToDict(result.device_after) or None,
    }
    if request.kind == api.TRIAL_KIND_MEMORY:
        return common | {"memory": _memory_section(result)}
    return common | {"timing": _timing_section(result, request, reference_best_ns)}


def _timing_section(result: api.TrialResult, request: api.MeasureRequest, reference_best_ns: float) -> TimingSection:
    timing, phases = result.timing, result.phases
    arrays = (timing.samples_ns, timing.references_ns, timing.waits_ns)
    samples_ns, references_ns, waits_ns = (np.array(values, np.float64) for values in arrays)
    undisturbed = interference.undisturbed(
        samples_ns, np.array(timing.block_samples, np.int64), references_ns, waits_ns, reference_best_ns
    )
    return TimingSection(
        import_ns=phases.import_ns,
        load_ns=phases.load_ns,
        first_ns=phases.first_ns,
        warmup_ns=phases.warmup_ns,
        warmup_samples=phases.warmup_samples,
        cached_load_ns=phases.cached_load_ns or None,
        samples_ns=tuple(timing.samples_ns),
        block_samples=tuple(timing.block_samples),
        references_ns=tuple(timing.references_ns),
        reference_best_ns=reference_best_ns,
        waits_ns=tuple(timing.waits_ns),
        undisturbed=tuple(undisturbed.tolist()),
        stopped_by=timing.stopped_by,
        unmet=tuple(timing.unmet),
        stable=not timing.unmet,
        reason=f"{' and '.join(timing.unmet)} not met, stopped by {timing.stopped_by}" if timing.unmet else None,
        cpu_time_ns=timing.cpu_time_ns,
        wall_time_ns=timing.wall_time_ns,
        voluntary_switches=timing.voluntary_switches,
        involuntary_switches=timing.involuntary_switches,
        gc_enabled=timing.gc_enabled,
        compute_only=request.compute_only,
    )


def _memory_section(result: api.TrialResult) -> MemorySection:
    memory = result.memory
    return MemorySection(
        phases=tuple(
            PhaseMemory(
                phase=phase.phase,
                peak_bytes=phase.peak_bytes,
                rss_bytes=phase.rss_bytes,
                pss_bytes=phase.pss_bytes,
                rss_anon_bytes=phase.rss_anon_bytes,
            )
            for phase in memory.phases
        ),
        container_peak_bytes=memory.container_peak_bytes,
        peak_source=memory.peak_source,
        device_peak_bytes=memory.device_peak_bytes or None,
        device_delta_bytes=memory.device_delta_bytes or None,
        timeline=tuple(MemorySample(at_ns=sample.at_ns, rss_bytes=sample.rss_bytes) for sample in memory.timeline),
    )
