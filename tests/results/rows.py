"""Rows as a campaign would write them, with figures that a test chooses."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.errors import Stage, Symptom
from orchestrator.results.interference import Floats, TrialSamples
from orchestrator.results.schema import (
    ArtifactSection,
    AttackSection,
    CheckSection,
    Identity,
    Kind,
    MemorySection,
    Outcomes,
    PhaseMemory,
    Row,
    TimingSection,
)
from orchestrator.results.scoring import score

QUIET_NS = 5_000
BUSY_NS = 9_000
FAILURE: dict[str, Any] = {
    "status": "failed",
    "stage": Stage.MEASURE,
    "symptom": Symptom.TIMEOUT,
    "message": "ended after 1 s",
}
CASE: dict[str, Any] = {
    "model": "lenet5",
    "source_framework": "keras",
    "format": "onnx",
    "precision": "float32",
    "runner": "onnxruntime-cpu",
    "runtime": "onnxruntime",
    "device": "cpu",
    "host": "local",
    "host_fingerprint": "f00d",
    "isolation": "docker",
    "batch_size": 1,
    "threads": 1,
    "artifact_sha256": "ab" * 32,
}
SOURCE: dict[str, Any] = {"format": "keras", "runner": "keras-cpu", "runtime": "keras"}
NOWHERE: dict[str, Any] = dict.fromkeys(
    ("runner", "runtime", "device", "host", "host_fingerprint", "isolation", "batch_size", "threads")
)


def row(kind: Kind, outcome: dict[str, Any], **fields: Any) -> Row:
    """A row of the standard case with `fields` changed."""
    told: dict[str, Any] = {"artifact_bytes": 241_664, "data": "digits"} | outcome
    identity = Identity(**{**CASE, "kind": kind, **fields})
    return Row(
        **identity.model_dump(),
        started_at="2026-01-01T00:00:00+00:00",
        duration_ns=1,
        **told,
    )


def artifact(outcome: dict[str, Any] | None = None, **fields: Any) -> Row:
    return row("artifact", outcome or {"status": "ok", "artifact": ArtifactSection(details={})}, **NOWHERE | fields)


def check(outcome: dict[str, Any] | None = None, max_abs_error: float = 1e-7, **fields: Any) -> Row:
    section = CheckSection(
        samples=360,
        accuracy=0.975,
        label_agreement=1.0,
        max_abs_error=max_abs_error,
        mean_abs_error=1e-8,
        batch_invariant=True,
        tolerance=1e-4,
    )
    outcome = outcome or {"status": "ok", "check": section}
    return row("check", outcome, **{"batch_size": None, "threads": None} | fields)


def wrong() -> dict[str, Any]:
    """Outcome of a check whose answers are not numbers."""
    section = CheckSection(
        samples=360,
        accuracy=0.1,
        label_agreement=0.1,
        max_abs_error=float("nan"),
        mean_abs_error=float("inf"),
        batch_invariant=None,
        tolerance=1e-4,
    )
    words = {"stage": Stage.COMPARE, "symptom": Symptom.WRONG_OUTPUT, "message": "answers are NaN"}
    return {"status": "wrong", "check": section, **words}


def timing(samples_ns: Sequence[int], busy: Sequence[bool] | None = None, **fields: Any) -> Row:
    """A timing trial in blocks of 8 samples; `busy` says at which blocks a neighbour was seen."""
    blocks = -(-len(samples_ns) // 8)
    busy = busy or [False] * blocks
    section = TimingSection(
        import_ns=1_000_000_000,
        load_ns=12_000_000,
        cached_load_ns=3_000_000,
        first_ns=1_500_000,
        warmup_ns=50_000_000,
        warmup_samples=20,
        samples_ns=tuple(samples_ns),
        block_samples=tuple(len(samples_ns[start : start + 8]) for start in range(0, len(samples_ns), 8)),
        references_ns=(QUIET_NS, *(BUSY_NS if is_busy else QUIET_NS for is_busy in busy)),
        reference_best_ns=0,
        undisturbed=(False,) * blocks,
        stopped_by="enough",
        unmet=(),
        stable=True,
        reason=None,
        cpu_time_ns=90,
        wall_time_ns=100,
        voluntary_switches=0,
        involuntary_switches=1,
        gc_enabled=False,
        compute_only=False,
    )
    return row("timing", {"status": "ok", "timing": section}, **fields)


def memory(*peaks_bytes: int, **fields: Any) -> Row:
    """A memory trial with those peaks in its phases."""
    phases = tuple(
        PhaseMemory(phase=phase, peak_bytes=peak, rss_bytes=peak, pss_bytes=peak, rss_anon_bytes=peak)
        for phase, peak in zip(("import", "load", "first", "warmup", "steady"), peaks_bytes, strict=False)
    )
    section = MemorySection(phases=phases, container_peak_bytes=0, peak_source="VmHWM")
    return row("memory", {"status": "ok", "memory": section}, **fields)


def attack(
    source_fooled: Sequence[bool],
    fooled: Sequence[bool],
    distances: Sequence[float] | None = None,
    name: str = "fgsm-linf-0.1",
    outcome: dict[str, Any] | None = None,
    **fields: Any,
) -> Row:
    """An attack on inputs of ten classes in turn, each of which is classified rightly before it; `fields` are also
    those of the section. The attack bounds its changes unless `epsilon` is None."""
    labels = np.arange(len(fooled)) % 10
    right, source = tuple(labels.tolist()), tuple(np.where(source_fooled, (labels + 1) % 10, labels).tolist())
    attacked = tuple(np.where(fooled, (labels + 1) % 10, labels).tolist())
    outcomes = Outcomes(
        labels=right,
        source_clean=right,
        source_attacked=source,
        clean=right,
        clean_alone=right,
        attacked=attacked,
        attacked_alone=attacked,
    )
    found = score(outcomes)
    of_section = {key: fields.pop(key) for key in tuple(fields) if key in AttackSection.model_fields}
    told: dict[str, Any] = {"name": "fgsm", "norm": "linf", "epsilon": 0.1, "words": None, "iterations": None}
    told |= {"against": "source", "attacked_sha256": "cd" * 32, "samples": len(labels), "scored": found.scored}
    told |= {"source_wrong": found.source.count, "wrong": found.converted.count, "mcnemar_p": found.paired.p_value()}
    told |= dict(zip(("wrong_low", "wrong_high"), found.converted.interval(), strict=True))
    told |= {"disagreements": found.disagreements.count}
    told |= dict(zip(("disagreements_low", "disagreements_high"), found.disagreements.interval(), strict=True))
    told |= {"only_source_wrong": found.paired.only_source, "only_this_wrong": found.paired.only_converted}
    told |= {"label_agreement": 1 - found.disagreements.share, "margins": (), "batch_invariant": True}
    told |= {"distances": tuple(distances or [0.1] * len(labels)), "crafting_ns": 1, "queries": None}
    told |= {"queries_per_s": None, "outcomes": outcomes}
    section = AttackSection(**told | of_section)
    nothing: dict[str, Any] = {"batch_size": None, "threads": None, "attack": name}
    return row("attack", outcome or {"status": "ok", "robustness": section}, **nothing | fields)


def steady_trials(median_ns: int, trials: int = 5, seed: int = 0, **fields: Any) -> list[Row]:
    """Timing trials whose samples scatter by 2 % about `median_ns`."""
    random = np.random.default_rng(seed)
    scattered = median_ns * random.lognormal(0, 0.02, (trials, 160))
    return [timing([int(value) for value in values], trial=trial, **fields) for trial, values in enumerate(scattered)]


def samples(values_ns: Sequence[float] | Floats, block: int = 1) -> TrialSamples:
    """An undisturbed trial in blocks of `block` samples; the last one may be shorter."""
    values = np.asarray(values_ns, dtype=np.float64)
    sizes = [len(values[start : start + block]) for start in range(0, len(values), block)]
    return trial(values, sizes, [True] * len(sizes))


def trial(
    values_ns: Sequence[float] | Floats, block_samples: Sequence[int], undisturbed: Sequence[bool]
) -> TrialSamples:
    """A trial whose references took twice their time at the blocks that were not `undisturbed`."""
    quiet = np.array(undisturbed, dtype=np.bool_)
    slowdowns = np.where(quiet, 1.0, 2.0)
    return TrialSamples(np.asarray(values_ns, np.float64), np.array(block_samples), quiet, slowdowns)
