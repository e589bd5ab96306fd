"""What a campaign writes down: the rows of `trials.jsonl` and the content of `campaign.json`.

Units stand at the end of a field's name (`_ns`, `_bytes`). A field that does not apply is null, never absent.
`results/README.md` is made of the descriptions here.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from orchestrator.errors import Stage, Symptom

SCHEMA_VERSION: Final = 1

Kind = Literal["artifact", "check", "attack", "timing", "memory"]
Status = Literal["ok", "wrong", "failed"]
Count = Annotated[int, Field(ge=0)]
Nanoseconds = Annotated[int, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]


def _within(share: float) -> float:
    """Raises ValueError beyond 0 to 1; a share of nothing is not a number."""
    if share < 0 or share > 1:
        raise ValueError("a share lies between 0 and 1")
    return share


Share = Annotated[float, Field(json_schema_extra={"unit": "0 to 1"}), AfterValidator(_within)]


class Record(BaseModel):
    """Base of everything that is written: immutable, unknown fields are refused, NaN and infinity survive JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ArtifactSection(Record):
    """How an artifact was made."""

    details: dict[str, JsonValue] = Field(
        description="what training, export or conversion reported; `made_on` is the worker of a Dask cluster"
    )


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
    references_ns: tuple[Annotated[int, Field(gt=0)], ...] = Field(
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
        default=None,
        description="most of the device's memory that the runtime's allocator had given out at once; null on a CPU "
        "and where the runtime does not tell",
    )
    device_delta_bytes: Bytes | None = Field(
        default=None,
        description="how much more of the device's memory was in use at the end than before the load; null on a CPU",
    )
    peak_source: str = Field(description='what kept peak_bytes: "VmHWM", "phys_footprint_peak" or "sampled"')
    timeline: tuple[MemorySample, ...] = Field(default=(), description="sampled by memory_profiler, for plots only")


class Placement(Record):
    """Where the graph ran."""

    counts: dict[str, int] = Field(description="device or execution provider -> what it holds")
    unit: str = Field(description='what was counted: "nodes", "tensors" or "operations"')


class Outcomes(Record):
    """Of each attacked input, in their order: the right class, and the classes that were answered."""

    labels: tuple[int, ...] = Field(description="the right classes")
    source_clean: tuple[int, ...] = Field(description="the source's, before the attack")
    source_attacked: tuple[int, ...] = Field(description="the source's, after it")
    clean: tuple[int, ...] = Field(description="before the attack, asked in batches")
    clean_alone: tuple[int, ...] = Field(description="before the attack, asked one at a time")
    attacked: tuple[int, ...] = Field(description="after the attack, asked in batches")
    attacked_alone: tuple[int, ...] = Field(description="after the attack, asked one at a time")

    @model_validator(mode="after")
    def _consistent(self) -> "Outcomes":
        """Raises ValueError unless there is a class for each input."""
        if len({len(getattr(self, name)) for name in type(self).model_fields}) > 1:
            raise ValueError("outcomes must have one class for each attacked input")
        return self


class Margin(Record):
    """An attacked input whose class is not the source's: by how much the best answer was above the second."""

    input: Count = Field(description="its number among the attacked inputs")
    source: float = Field(description="of the source's answer")
    converted: float = Field(description="of the converted model's answer")


class AttackSection(Record):
    """What an attack did to one artifact on one runner, beside what the same inputs did to the source.

    Counted are only inputs that both classify rightly before the attack. Intervals are Wilson's, 95 %.
    """

    name: str = Field(description="of the attack")
    norm: str | None = Field(description='how a change is measured: "linf" or "l2"; null for words')
    epsilon: float | None = Field(description="largest change, inputs being 0 to 1; null where the smallest is sought")
    words: Count | None = Field(description="largest number of changed words; null for images")
    iterations: Count | None = Field(description="steps; null where there is nothing to choose")
    against: Literal["source", "runner"] = Field(
        description="`source`: made on the source and replayed; `runner`: made on this artifact where it lives"
    )
    attacked_sha256: str = Field(description="of the attacked inputs")
    samples: Count = Field(description="inputs that were attacked, all of which the source classifies rightly")
    scored: Count = Field(description="inputs that both classify rightly before the attack; all below is of these")
    source_wrong: Count = Field(description="of them, those that the source gets wrong after the attack")
    wrong: Count = Field(description="those that this artifact gets wrong")
    wrong_low: Share = Field(description="lower end of the interval of their share")
    wrong_high: Share = Field(description="upper end")
    disagreements: Count = Field(description="those with another class than the source's after the attack")
    disagreements_low: Share = Field(description="lower end of the interval of their share")
    disagreements_high: Share = Field(description="upper end")
    only_source_wrong: Count = Field(description="those that fool the source alone")
    only_this_wrong: Count = Field(description="those that fool this artifact alone")
    mcnemar_p: Share = Field(description="exact McNemar test: how likely so uneven a pair is by chance")
    label_agreement: Share = Field(description="share of all attacked inputs with the source's class")
    margins: tuple[Margin, ...] = Field(description="of the attacked inputs with another class than the source's")
    batch_invariant: bool = Field(description="every class is the same one at a time and in a batch")
    distances: tuple[float, ...] = Field(
        description="of each attacked input from the original: in its norm, or in changed words"
    )
    crafting_ns: Nanoseconds = Field(description="time that the attack took")
    queries: Count | None = Field(description="answers that it asked for; null where it does not count them")
    queries_per_s: float | None = Field(description="answers per second of attack; null likewise")
    outcomes: Outcomes = Field(description="all of the above can be computed from these classes")

    @model_validator(mode="after")
    def _consistent(self) -> "AttackSection":
        """Raises ValueError where more inputs are counted than there are."""
        counted = (self.source_wrong, self.wrong, self.disagreements, self.only_source_wrong, self.only_this_wrong)
        if max(counted) > self.scored or self.scored > self.samples:
            raise ValueError("more inputs are counted than were scored, or scored than attacked")
        return self


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
    unique = [fields[name] for name in _IDENTITY]
    unique += [fields[name] for name in ("attack", "software") if fields[name]]
    return hashlib.sha256(json.dumps(unique).encode()).hexdigest()[:16]


class Identity(Record):
    """What a row is about: everything that is known before the work starts, and the key that resuming goes by."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="raised when a field changes its meaning")
    kind: Kind = Field(
        description="what was done: an artifact made, answers checked, an attack replayed, time or memory measured"
    )
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
    software: str | None = Field(
        default=None, description="hash of the versions of what executes; null where `image_digest` tells"
    )
    attack: str | None = Field(default=None, description="on attack rows: what tells it from the model's other attacks")
    key: str = Field(
        default_factory=_key,
        description="hash of kind, case, trial, attack, artifact, host, isolation, image digest and software",
    )


_SECTIONS = {kind: "robustness" if kind == "attack" else kind for kind in get_args(Kind)}


class Row(Identity):
    """One line of `trials.jsonl`: exactly one of the five sections is set on success, at most one on failure.

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
    robustness: AttackSection | None = Field(default=None, description="on attack rows")
    timing: TimingSection | None = Field(default=None, description="on timing rows")
    memory: MemorySection | None = Field(default=None, description="on memory rows")
    placement: Placement | None = Field(default=None, description="where the graph ran; on timing and memory rows")
    threads_in_force: dict[str, int] | None = Field(default=None, description="asked back from the runtime, by pool")
    device_before: dict[str, JsonValue] | None = Field(
        default=None, description="the device's clocks, temperature, throttling before the load; null where unknown"
    )
    device_after: dict[str, JsonValue] | None = Field(
        default=None, description="the same after the steady phase; units are in the names"
    )
    versions: dict[str, str] = Field(
        default={},
        description="distribution -> version, of what did the work; `python` with its build, `reference` of which kind",
    )

    @model_validator(mode="after")
    def _sections(self) -> "Row":
        """Raises ValueError for another kind's section, success without a section, failure without stage or symptom."""
        present = {kind for kind, section in _SECTIONS.items() if getattr(self, section) is not None}
        if present - {self.kind}:
            raise ValueError(f"a row of kind '{self.kind}' has the section '{_SECTIONS[min(present - {self.kind})]}'")
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
