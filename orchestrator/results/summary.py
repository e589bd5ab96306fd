"""Rows of a campaign -> one summary per case. Pure: nothing is read or printed."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from orchestrator.errors import Stage, Symptom
from orchestrator.results import interference, making, statistics
from orchestrator.results.attacks import AttackSummary, summarise_attacks, verdict
from orchestrator.results.interference import Corrected, Floats, Integers, Pace, TrialSamples
from orchestrator.results.schema import CheckSection, MemorySection, Row, Status, TimingSection
from orchestrator.results.scoring import Verdict
from orchestrator.results.selection import (
    Name,
    artifact_of,
    case_of,
    counting,
    place_of,
    reference_of,
    subject_of,
)
from orchestrator.runtimes import source_format, source_runtime

_ONLY_CHECKED = "answers checked; neither time nor memory measured"
_ONLY_EVALUATED = (
    "answers checked by evaluation; Core ML itself executes on macOS only, so neither time nor memory is measured here"
)


_BULK = ("samples_ns", "block_samples", "references_ns", "waits_ns", "undisturbed")


@dataclass(frozen=True)
class CaseSummary:
    """What a campaign says about one case; a figure that does not apply or is not supported by the data is null.

    `runtime` is null for an artifact that no runner executed; `batch_size` and `threads` are null where a runner only
    answered. `median_ns` is the median of what `median_basis` says: of the "undisturbed" samples, each at the case's
    usual pace, of samples "adjusted" for the slow-down that references saw (where samples outlast quiet spells), or of
    all "as-seen"; its interval is the 95 % one. `ratio_to_source` compares the median with that of the source
    framework's own runtime on the same machine, device, batch size and threads, above 1 when the case is slower.
    `peak_bytes` is the highest peak of a phase, `device_peak_bytes` and `device_delta_bytes` are what such a row's
    `memory` calls so, each the median of the memory trials. Shares lie between 0 and 1; `cpu_share` is CPU time per
    wall time.

    `trained` says whether the network is better than always naming the most frequent class; if not, `accuracy` is null,
    for it would be no finding. `bytes_with_optimizer` is the source's size with the optimizer's state in it. `attacks`
    hold for every batch size; `robustness` is what they say together, null for the source itself. `check_samples` are
    the inputs that `accuracy` and `label_agreement` are shares of.
    """

    model: str
    source_framework: str
    format: str
    precision: str
    runtime: str | None = None
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    isolation: str | None = None
    host: str | None = None
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    accuracy: float | None = None
    label_agreement: float | None = None
    max_abs_error: float | None = None
    load_ns: float | None = None
    first_ns: float | None = None
    median_ns: float | None = None
    median_low_ns: float | None = None
    median_high_ns: float | None = None
    median_as_seen_ns: float | None = None
    undisturbed_share: float | None = None
    samples: int = 0
    trials: int = 0
    stable: bool | None = None
    peak_bytes: float | None = None
    status: Status = "ok"
    stage: Stage | None = None
    symptom: Symptom | None = None
    message: str | None = None
    runner: str | None = None
    host_fingerprint: str | None = None
    image_digest: str | None = None
    data: str | None = None
    mean_abs_error: float | None = None
    max_rel_error: float | None = None
    min_cosine: float | None = None
    kl_divergence: float | None = None
    batch_invariant: bool | None = None
    import_ns: float | None = None
    cached_load_ns: float | None = None
    warmup_ns: float | None = None
    median_basis: str | None = None
    p90_ns: float | None = None
    p99_ns: float | None = None
    throughput_per_s: float | None = None
    cpu_share: float | None = None
    unstable_reason: str | None = None
    compute_only: bool | None = None
    memory_trials: int = 0
    device_peak_bytes: float | None = None
    device_delta_bytes: float | None = None
    ratio_to_source: float | None = None
    ratio_to_source_low: float | None = None
    ratio_to_source_high: float | None = None
    trained: bool | None = None
    trained_s: float | None = None
    epochs: float | None = None
    planned_epochs: int | None = None
    bytes_with_optimizer: int | None = None
    conversion_ns: int | None = None
    conversion_peak_bytes: int | None = None
    check_samples: int = 0
    robustness: Verdict | None = None
    attacks: tuple[AttackSummary, ...] = ()


@dataclass(frozen=True)
class Measured:
    """A case's summary with what it was made of, for those who hold it against another campaign's.

    `trials` are as `interference.judge` left them by their `pace`, `peaks_bytes` one per memory trial; `check` and
    `attacks` are rows, `versions` those of what executed it. All is empty where nothing was executed.
    """

    summary: CaseSummary
    trials: tuple[TrialSamples, ...] = ()
    peaks_bytes: tuple[int, ...] = ()
    check: Row | None = None
    attacks: tuple[Row, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    pace: Pace | None = None


@dataclass(frozen=True)
class _Timed:
    """A timing trial without the bulk of its row."""

    section: TimingSection
    values_ns: Floats
    block_samples: Integers
    references_ns: Floats
    waits_ns: Floats


@dataclass
class _Group:
    """What the rows that count say about one case; `first` is the first of them."""

    first: Row
    timed: list[_Timed] = field(default_factory=list)
    memory: list[MemorySection] = field(default_factory=list)
    failures: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    check: Row | None = None
    attacks: list[Row] = field(default_factory=list)
    trials: list[TrialSamples] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    pace: Pace | None = None
    is_source: bool = False

    @property
    def peaks_bytes(self) -> list[int]:
        """Of each memory trial the highest peak of a phase."""
        return [max(phase.peak_bytes for phase in section.phases) for section in self.memory]

    @property
    def corrected(self) -> Corrected:
        """The trials that the median comes from."""
        return interference.correct(tuple(self.trials))


@dataclass
class _Rows:
    """The last row of each key, in the order of writing, the samples of its timing trials apart."""

    artifacts: dict[Name, Row] = field(default_factory=dict)
    checks: dict[str, Row] = field(default_factory=dict)
    attacks: dict[str, Row] = field(default_factory=dict)
    trials: dict[str, Row] = field(default_factory=dict)
    timed: dict[str, _Timed] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        if row.kind == "artifact":
            self.artifacts[artifact_of(row)] = row
            return
        rows = {"check": self.checks, "attack": self.attacks}.get(row.kind, self.trials)
        rows.pop(row.key, None)
        self.timed.pop(row.key, None)
        rows[row.key], timed = _lighten(row)
        if timed is not None:
            self.timed[row.key] = timed


def is_source(case: CaseSummary) -> bool:
    """Whether the source framework's own runtime executes the source itself: what conversions are compared with."""
    return case.conversion_ns is None and _is_original(case)


def _is_original(case: Row | CaseSummary) -> bool:
    stored = case.format == source_format(case.source_framework)
    return stored and case.runtime == source_runtime(case.source_framework)


def summarise(rows: Iterable[Row]) -> list[CaseSummary]:
    """One summary per case, by model, source framework, host, device, format and batch size.

    An artifact that no runner executed has one with `runtime` null, one that a runner only answered has one with
    `batch_size` null. Of rows with the same key the last one counts; of a case the rows about the same artifact, image,
    machine and isolation as its newest one. What is undisturbed is judged anew with the best reference of the whole
    campaign on each host.
    """
    return [case.summary for case in measure(rows)]


def measure(rows: Iterable[Row]) -> list[Measured]:
    """As `summarise`, with what the summaries were made of."""
    written = _Rows()
    for row in rows:
        written.add(row)
    groups = _group(written)
    executed = {artifact_of(group.first) for group in groups}
    _mark_undisturbed(groups)
    _mark_sources(groups, written.artifacts.values())
    sources = {_setting_of(group.first): group for group in groups if group.is_source}
    by_source = sorted(groups, key=lambda group: repr(_setting_of(group.first)))  # they share its resampling
    attacked_sources = _attacked_sources(groups)
    with threadpool_limits(
        1
    ):  # two threads on products this small gain nothing, and beside other work wait for each other
        summaries = [_summarise(group, sources.get(_setting_of(group.first)), attacked_sources) for group in by_source]
    summaries += [_not_executed(row) for name, row in written.artifacts.items() if name not in executed]
    found = zip_longest(_with_making(summaries, written.artifacts.values()), by_source)
    return sorted((_measured(summary, group) for summary, group in found), key=lambda case: _order(case.summary))


def _measured(summary: CaseSummary, group: _Group | None) -> Measured:
    """`group` is None for what was not executed."""
    if group is None:
        return Measured(summary)
    parts = tuple(group.trials), tuple(group.peaks_bytes), group.check, tuple(group.attacks), group.versions, group.pace
    return Measured(summary, *parts)


def _attacked_sources(groups: Iterable[_Group]) -> dict[Name, dict[str, Row]]:
    """By network, the attacks on the source framework's own runtime, on whichever host it was."""
    return {
        (group.first.model, group.first.source_framework): {str(row.attack): row for row in group.attacks}
        for group in groups
        if group.is_source
    }


def _with_making(summaries: Iterable[CaseSummary], artifacts: Iterable[Row]) -> Iterator[CaseSummary]:
    """How the network was trained and how it was converted, as the artifacts' rows say."""
    sources: dict[Name, dict[str, Any]] = {}
    conversions: dict[str | None, dict[str, Any]] = {}
    for row in artifacts:
        if converted := making.of_conversion(row):
            conversions[row.artifact_sha256] = converted
        elif row.format == source_format(row.source_framework):
            sources[row.model, row.source_framework] = making.of_source(row)
    for summary in summaries:
        made = sources.get((summary.model, summary.source_framework), {})
        accuracy = None if made.get("trained") is False else summary.accuracy
        converted = conversions.get(summary.artifact_sha256, {})
        yield replace(summary, **made, **converted, accuracy=accuracy)


def _group(written: _Rows) -> list[_Group]:
    """The trials by case, each with the check of what it executed; then the checks of places without trials."""
    groups: dict[Name, _Group] = {}
    for row in counting(written.trials.values()):
        group = groups.setdefault(case_of(row), _Group(row))
        group.versions = row.versions or group.versions
        if row.status == "failed":
            group.failures[row.kind].append(row)
        elif row.key in written.timed:
            group.timed.append(written.timed[row.key])
        elif row.memory is not None:
            group.memory.append(row.memory.model_copy(update={"timeline": ()}))
    checks = {(place_of(row), subject_of(row)): row for row in written.checks.values()}
    for group in groups.values():
        group.check = checks.get((place_of(group.first), subject_of(group.first)))
    measured = {place_of(group.first) for group in groups.values()}
    only_checked = [row for row in counting(written.checks.values()) if place_of(row) not in measured]
    found = [*groups.values(), *(_Group(row, check=row, versions=row.versions) for row in only_checked)]
    attacks: dict[Name, list[Row]] = defaultdict(list)
    for row in written.attacks.values():
        attacks[place_of(row), subject_of(row)].append(row)
    for group in found:
        group.attacks = attacks[place_of(group.first), subject_of(group.first)]
    return found


def _lighten(row: Row) -> tuple[Row, _Timed | None]:
    """Samples as arrays: 10,000 rows of Python integers would fill the memory."""
    section = row.timing
    if section is None or not section.samples_ns:
        return row, None
    timed = _Timed(
        section.model_copy(update=dict.fromkeys(_BULK, ())),
        np.array(section.samples_ns, dtype=np.float64),
        np.array(section.block_samples, dtype=np.int64),
        np.array(section.references_ns, dtype=np.float64),
        np.array(section.waits_ns, dtype=np.float64),
    )
    return row.model_copy(update={"timing": None}), timed


def _mark_sources(groups: Iterable[_Group], artifacts: Iterable[Row]) -> None:
    """A model that came in a format to which others are converted may have become another artifact in that format."""
    converted = {row.artifact_sha256 for row in artifacts if making.of_conversion(row)}
    for group in groups:
        group.is_source = _is_original(group.first) and group.first.artifact_sha256 not in converted


def _mark_undisturbed(groups: Iterable[_Group]) -> None:
    """Fills in the groups' trials, judged by the best reference of each host or, with several threads, of the case."""
    places: dict[Name, list[_Group]] = defaultdict(list)
    for group in groups:
        if group.timed:
            host = group.first.host_fingerprint or group.first.host
            of_case = () if group.first.threads == 1 else case_of(group.first)
            places[host, *reference_of(group.versions), *of_case].append(group)
    for of_place in places.values():
        find_best = interference.host_best_ns if of_place[0].first.threads == 1 else interference.own_best_ns
        best_ns = find_best(_references(of_place))
        for group in of_place:
            group.pace = pace = Pace.of(_references([group]), best_ns) if _follows(group) else Pace(best_ns)
            group.trials = [
                interference.judge(timed.values_ns, timed.block_samples, timed.references_ns, timed.waits_ns, pace)
                for timed in group.timed
            ]


def _follows(group: _Group) -> bool:
    """Whether the case computes at the pace of its references.

    A device has a clock of its own; several threads slow each other's references, as their runtime has them spin; and
    the references of rows that do not tell which it was had two speeds of their own.
    """
    return group.first.device == "cpu" and group.first.threads == 1 and None not in reference_of(group.versions)


def _references(groups: Iterable[_Group]) -> Floats:
    return np.concatenate([timed.references_ns for group in groups for timed in group.timed])


def _setting_of(row: Row) -> Name:
    """What a conversion shares with the case of the source framework's own runtime that it is compared with."""
    return (row.model, row.source_framework, row.host, row.host_fingerprint, row.device, row.batch_size, row.threads)


def _summarise(group: _Group, source: _Group | None, attacked_sources: Mapping[Name, Mapping[str, Row]]) -> CaseSummary:
    row = group.first
    of_source = {} if group.is_source else attacked_sources.get((row.model, row.source_framework), {})
    attacks = summarise_attacks(group.attacks, of_source)
    status, cause, message = _outcome(group)
    summary = CaseSummary(
        model=row.model,
        source_framework=row.source_framework,
        format=row.format,
        precision=row.precision,
        runtime=row.runtime,
        device=row.device,
        batch_size=row.batch_size,
        threads=row.threads,
        isolation=row.isolation,
        host=row.host,
        artifact_sha256=row.artifact_sha256,
        artifact_bytes=row.artifact_bytes,
        runner=row.runner,
        host_fingerprint=row.host_fingerprint,
        image_digest=row.image_digest,
        data=row.data,
        status=status,
        stage=cause.stage if cause else None,
        symptom=cause.symptom if cause else None,
        message=message,
        peak_bytes=_middle(group.peaks_bytes),
        memory_trials=len(group.memory),
        device_peak_bytes=_middle_known([section.device_peak_bytes for section in group.memory]),
        device_delta_bytes=_middle_known([section.device_delta_bytes for section in group.memory]),
        attacks=attacks,
        robustness=None if group.is_source else verdict(attacks),
    )
    if group.check is not None and group.check.check is not None:
        summary = replace(summary, **_fidelity(group.check.check))
    if group.timed:
        summary = replace(summary, **_times(group), **_ratio(group, source))
    return summary


def _outcome(group: _Group) -> tuple[Status, Row | None, str | None]:
    """Status, the row that explains it when it is not ok, and the message."""
    succeeded = {"timing": len(group.timed), "memory": len(group.memory)}
    failures = {kind: rows for kind, rows in group.failures.items() if rows}
    check = group.check
    fatal = [check] if check is not None and check.status == "failed" else []
    fatal += [rows[0] for kind, rows in sorted(failures.items()) if not succeeded[kind]]
    if fatal:
        return "failed", fatal[0], fatal[0].message
    partial = [
        f"{len(rows)} of {len(rows) + succeeded[kind]} {kind} trials failed ({rows[0].stage} {rows[0].symptom}: "
        f"{rows[0].message})"
        for kind, rows in sorted(failures.items())
    ]
    if check is not None and check.status == "wrong":
        return "wrong", check, "; ".join([check.message or "the answers are wrong", *partial])
    if not any(succeeded.values()):
        return "ok", None, _ONLY_EVALUATED if group.first.runtime == "coreml-reference" else _ONLY_CHECKED
    return "ok", None, "; ".join(partial) or None


def _fidelity(check: CheckSection) -> dict[str, Any]:
    return {
        "check_samples": check.samples,
        "accuracy": _finite(check.accuracy),
        "label_agreement": _finite(check.label_agreement),
        "max_abs_error": _finite(check.max_abs_error),
        "mean_abs_error": _finite(check.mean_abs_error),
        "max_rel_error": _finite(check.max_rel_error),
        "min_cosine": check.min_cosine,
        "kl_divergence": _finite(check.kl_divergence),
        "batch_invariant": check.batch_invariant,
    }


def _times(group: _Group) -> dict[str, Any]:
    sections = [timed.section for timed in group.timed]
    corrected = group.corrected
    estimate = statistics.median(corrected.trials)
    samples = sum(len(trial.values_ns) for trial in group.trials)
    quiet = sum(int(trial.undisturbed_mask().sum()) for trial in group.trials)
    wall_time_ns = sum(section.wall_time_ns for section in sections)
    reason = _unstable_reason(group, corrected, estimate)
    batch_size = group.first.batch_size or 1
    return {
        "import_ns": _middle([section.import_ns for section in sections]),
        "load_ns": _middle([section.load_ns for section in sections]),
        "cached_load_ns": _middle_known([each.cached_load_ns for each in sections]),
        "first_ns": _middle([section.first_ns for section in sections]),
        "warmup_ns": _middle([section.warmup_ns for section in sections]),
        "median_ns": estimate.value,
        "median_low_ns": estimate.low,
        "median_high_ns": estimate.high,
        "median_as_seen_ns": statistics.median_ns(group.trials),
        "median_basis": corrected.basis,
        "undisturbed_share": quiet / samples,
        "samples": samples,
        "trials": len(group.trials),
        "stable": reason is None,
        "unstable_reason": reason,
        "p90_ns": statistics.percentile_ns(group.trials, 90),
        "p99_ns": statistics.percentile_ns(group.trials, 99),
        "throughput_per_s": batch_size * 1e9 / estimate.value if estimate.value else None,
        "cpu_share": sum(section.cpu_time_ns for section in sections) / wall_time_ns if wall_time_ns else None,
        "compute_only": sections[0].compute_only,
    }


def _unstable_reason(group: _Group, corrected: Corrected, estimate: statistics.Estimate) -> str | None:
    """A lack of undisturbed samples in single trials does not count: that is judged over the campaign."""
    unsettled = [
        timed.section.reason or "did not settle"
        for timed in group.timed
        if not timed.section.stable and timed.section.unmet != ("min_undisturbed_samples",)
    ]
    reasons = [f"{len(unsettled)} of {len(group.timed)} trials: {unsettled[0]}"] if unsettled else []
    judged = statistics.instability(group.trials, corrected, estimate)
    return "; ".join(reasons + ([judged] if judged else [])) or None


def _ratio(group: _Group, source: _Group | None) -> dict[str, Any]:
    if source is None or source is group or not source.trials:
        return {}
    compared = statistics.compare(group.trials, source.trials)
    return {
        "ratio_to_source": compared.value,
        "ratio_to_source_low": compared.low,
        "ratio_to_source_high": compared.high,
    }


def _not_executed(row: Row) -> CaseSummary:
    failed = row.status == "failed"
    return CaseSummary(
        model=row.model,
        source_framework=row.source_framework,
        format=row.format,
        precision=row.precision,
        artifact_sha256=row.artifact_sha256,
        artifact_bytes=row.artifact_bytes,
        data=row.data,
        status=row.status,
        stage=row.stage,
        symptom=row.symptom,
        message=row.message if failed else "converted, not executed: no runner of the inventory takes it",
    )


def _middle(values: Sequence[int]) -> float | None:
    return float(median(values)) if values else None


def _middle_known(values: Sequence[int | None]) -> float | None:
    return _middle([value for value in values if value is not None])


def _finite(value: float | None) -> float | None:
    """JSON knows neither NaN nor infinity; the status says that the answers are wrong."""
    return value if value is not None and math.isfinite(value) else None


def _order(summary: CaseSummary) -> tuple[Any, ...]:
    """Sources before conversions, the not executed last."""
    return (
        summary.model,
        summary.source_framework,
        summary.host is None,
        summary.host or "",
        summary.device or "",
        summary.conversion_ns is not None or summary.format != source_format(summary.source_framework),
        summary.format,
        summary.precision,
        summary.runtime or "",
        summary.threads or 0,
        summary.batch_size or 0,
    )
