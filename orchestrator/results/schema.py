"""What a campaign writes down: the rows of `trials.jsonl` and the content of `campaign.json`.

Units stand at the end of a field's name (`_ns`, `_bytes`). A field that does not apply is null, never absent.
`results/README.md` is made of the descriptions here.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from orchestrator.errors import Stage, Symptom

SCHEMA_VERSION: Final = 1

Kind = Literal["artifact", "check", "timing", "memory"]
Status = Literal["ok", "wrong", "failed"]
Count = Annotated[int, Field(ge=0)]
Nanoseconds = Annotated[int, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(json_schema_extra={"unit": "0 to 1"})]


class Record(BaseModel):
    """Base of everything that is written: immutable, unknown fields are refused, NaN and infinity survive JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ArtifactSection(Record):
    """How an artifact was made."""

    details: dict[str, JsonValue] = Field(description="what training, export or conversion reported")


class CheckSection(Record):
    """How an artifact's answers on one runner agree with the source framework's."""

    samples: Count = Field(description="inputs that were compared")
    accuracy: Share | None = Field(description="share of inputs with the right label; null without labels")
    label_agreement: Share = Field(description="share of inputs with the source's label")
    max_abs_error: float = Field(description="largest absolute difference to the source's answers")
    mean_abs_error: float = Field(description="mean absolute difference to the source's answers")
    max_rel_error: float | None = Field(
        default=None, description="largest, over the inputs, of the largest difference over the source's largest answer"
    )
    min_cosine: float | None = Field(default=None, description="smallest cosine between both answers to an input")
    kl_divergence: float | None = Field(
        default=None, description="mean Kullback-Leibler divergence of the answers from the source's, in nats"
    )
    batch_invariant: bool | None = Field(description="answers one at a time equal those of a batch; null if not tried")
    tolerance: float = Field(description="largest `max_abs_error` that is not wrong")


class TimingSection(Record):
    """One timing trial; see "The protocol of measurement" in docs/design.md."""

    import_ns: Nanoseconds = Field(description="importing the runtime")
    load_ns: Nanoseconds = Field(description="loading the artifact")
    first_ns: Nanoseconds = Field(description="first, cold inference")
    warmup_ns: Nanoseconds = Field(description="length of the warm-up")
    warmup_samples: Count = Field(description="inferences of the warm-up")
    cached_load_ns: Nanoseconds | None = Field(
        default=None, description="loading what an earlier load left compiled; null where nothing is kept"
    )
    samples_ns: tuple[Nanoseconds, ...] = Field(min_length=1, description="every sample of the steady phase, in order")
    block_samples: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        description="samples of consecutive blocks; they sum to all samples"
    )
    references_ns: tuple[Nanoseconds, ...] = Field(
        description="the reference computation before the first block and after each one"
    )
    reference_best_ns: float = Field(ge=0, description="the host's best reference when the trial ran; 0 when unknown")
    waits_ns: tuple[Nanoseconds, ...] = Field(
        default=(), description="per block: the longest that one of its threads waited for a core; none when unknown"
    )
    undisturbed: tuple[bool, ...] = Field(
        description="per block: the references on both sides were near that best and its threads hardly waited"
    )
    stopped_by: str = Field(description='"enough", or the bound that ended the trial: "max_time" or "max_samples"')
    unmet: tuple[str, ...] = Field(
        description='what was not met: "warmup" (it had not settled at its cap), "min_samples", "min_time", '
        '"min_undisturbed_samples"'
    )
    stable: bool = Field(description="the trial settled and met its stop rule")
    reason: str | None = Field(description="why not, when not stable")
    cpu_time_ns: Nanoseconds = Field(description="user and system time over the steady phase")
    wall_time_ns: Nanoseconds = Field(description="wall time of the steady phase")
    voluntary_switches: Count = Field(description="voluntary context switches over the steady phase")
    involuntary_switches: Count = Field(description="involuntary context switches over the steady phase")
    gc_enabled: bool = Field(description="Python's garbage collector was on while timed")
    compute_only: bool = Field(description="host-to-device copies were left out of the samples")

    @model_validator(mode="after")
    def _consistent(self) -> "TimingSection":
        """Raises ValueError unless blocks, samples, references and mask fit together."""
        if sum(self.block_samples) != len(self.samples_ns):
            raise ValueError("block_samples do not sum to the number of samples_ns")
        if len(self.references_ns) != len(self.block_samples) + 1:
            raise ValueError("references_ns must be one more than there are blocks")
        if len(self.undisturbed) != len(self.block_samples):
            raise ValueError("undisturbed must have one entry per block")
        if len(self.waits_ns) not in (0, len(self.block_samples)):
            raise ValueError("waits_ns must have one entry per block, or none")
        return self


class PhaseMemory(Record):
    """Memory of the trial's process in one phase."""

    phase: str = Field(description='"import", "load", "first", "warmup" or "steady"')
    peak_bytes: Bytes = Field(description="highest resident size within this phase")
    rss_bytes: Bytes = Field(description="resident size at its end")
    pss_bytes: Bytes = Field(description="proportional set size at its end")
    rss_anon_bytes: Bytes = Field(description="anonymous resident size at its end")


class MemorySample(Record):
    """One point of the sampled timeline."""

    at_ns: Nanoseconds = Field(description="since the timeline began")
    rss_bytes: Bytes = Field(description="resident size then")


class MemorySection(Record):
    """One memory trial; nothing in it is timed."""

    phases: tuple[PhaseMemory, ...] = Field(min_length=1, description="in the order of the phases")
    container_peak_bytes: Bytes = Field(
        description="the container's peak since it began, not this trial's alone; 0 outside a container"
    )
    device_peak_bytes: Bytes | None = Field(
        default=None, description="the device's memory that the runtime's allocator held at most; null on a CPU"
    )
    device_delta_bytes: Bytes | None = Field(
        default=None, description="how much less of the device's memory was free at the end; null on a CPU"
    )
    peak_source: str = Field(description='what kept peak_bytes: "VmHWM", "phys_footprint_peak" or "sampled"')
    timeline: tuple[MemorySample, ...] = Field(default=(), description="sampled by memory_profiler, for plots only")


class Placement(Record):
    """Where the graph ran."""

    counts: dict[str, int] = Field(description="device or execution provider -> what it holds")
    unit: str = Field(description='what was counted: "nodes", "tensors" or "operations"')


_IDENTITY = (
    "kind",
    "model",
    "source_framework",
    "format",
    "precision",
    "runner",
    "runtime",
    "device",
    "batch_size",
    "threads",
    "host",
    "host_fingerprint",
    "isolation",
    "image_digest",
    "trial",
    "artifact_sha256",
)


def _key(fields: Mapping[str, Any]) -> str:
    """SHA-256 over the fields that make a row unique, shortened to 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps([fields[name] for name in _IDENTITY]).encode()).hexdigest()[:16]


class Identity(Record):
    """What a row is about: everything that is known before the work starts, and the key that resuming goes by."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="raised when a field changes its meaning")
    kind: Kind = Field(description="what was done: an artifact made, answers checked, time or memory measured")
    model: str = Field(description="the network's name, without the framework")
    source_framework: str = Field(description="where it was trained: `keras` or `pytorch`")
    format: str = Field(description="how the artifact is stored")
    precision: str = Field(description="precision of its weights")
    runner: str | None = Field(
        None, description="name in the inventory; null on artifact rows, as is all down to threads"
    )
    runtime: str | None = Field(default=None, description="library that executes")
    device: str | None = Field(default=None, description="what executes it")
    batch_size: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="samples per inference; null on checks"
    )
    threads: Count | None = Field(
        default=None, description="intra-operator threads; null on checks, 0 when never resolved"
    )
    host: str | None = Field(default=None, description="name of the machine in the inventory")
    host_fingerprint: str | None = Field(default=None, description="equal for runners that share a machine")
    isolation: str | None = Field(default=None, description="launcher: `docker`, `process` or `remote`")
    image_digest: str | None = Field(default=None, description="of the runner's image; null outside containers")
    trial: Count = Field(default=0, description="counts the trials of one case and kind")
    artifact_sha256: str | None = Field(default=None, description="null when the artifact could not be made")
    key: str = Field(
        default_factory=_key, description="hash of kind, case, trial, artifact, host, isolation and image digest"
    )


class Row(Identity):
    """One line of `trials.jsonl`: exactly one of the four sections is set on success, at most one on failure.

    `Row(**identity.model_dump(), status="ok", ...)` makes a row of an identity.
    """

    started_at: str = Field(description="UTC, ISO 8601")
    duration_ns: Nanoseconds = Field(description="from the orchestrator's side, everything included")
    status: Status = Field(description="`wrong`: answers outside the tolerance")
    stage: Stage | None = Field(default=None, description="where it failed; null unless failed or wrong")
    symptom: Symptom | None = Field(default=None, description="how it failed; null unless failed or wrong")
    message: str | None = Field(default=None, description="one line, the tool's own words kept")
    artifact_bytes: Bytes | None = Field(default=None, description="size of the artifact")
    data: str | None = Field(default=None, description="name of the data set")
    inputs_sha256: str | None = Field(
        default=None, description="of the test inputs as they are fed to every runner, the preprocessing done"
    )
    artifact: ArtifactSection | None = Field(default=None, description="on artifact rows")
    check: CheckSection | None = Field(default=None, description="on check rows")
    timing: TimingSection | None = Field(default=None, description="on timing rows")
    memory: MemorySection | None = Field(default=None, description="on memory rows")
    placement: Placement | None = Field(default=None, description="where the graph ran; on timing and memory rows")
    threads_in_force: dict[str, int] | None = Field(default=None, description="asked back from the runtime, by pool")
    versions: dict[str, str] = Field(default={}, description="distribution -> version, of what did the work")

    @model_validator(mode="after")
    def _sections(self) -> "Row":
        """Raises ValueError for another kind's section, success without a section, failure without stage or symptom."""
        present = {kind for kind in ("artifact", "check", "timing", "memory") if getattr(self, kind) is not None}
        if present - {self.kind}:
            raise ValueError(f"a row of kind '{self.kind}' has the section '{min(present - {self.kind})}'")
        if self.status == "failed":
            if self.stage is None or self.symptom is None:
                raise ValueError("a failed row needs stage and symptom")
        elif not present:
            raise ValueError(f"a row of kind '{self.kind}' with status '{self.status}' needs its section")
        return self


class Campaign(Record):
    """The content of `campaign.json`: what was to be done, with what, where."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="as in the rows")
    name: str = Field(description="of the campaign")
    created_at: str = Field(description="UTC, ISO 8601")
    suite: dict[str, JsonValue] = Field(description="the resolved suite, defaults filled in")
    inventory: dict[str, JsonValue] = Field(description="the resolved inventory")
    versions: dict[str, str] = Field(description="distribution -> version, on the build host")
    runners: dict[str, dict[str, JsonValue]] = Field(
        default={},
        description="`host/runner` -> what it said of itself: versions, devices, fingerprint, image, environment",
    )
