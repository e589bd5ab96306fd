"""The summaries as OpenMetrics text, for Prometheus and what else reads it: one sample per case in each family.

OpenMetrics asks for base units: durations are seconds here, shares are ratios.
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from orchestrator.errors import UsageError
from orchestrator.report import units
from orchestrator.results.pairs import CASE
from orchestrator.results.schema import Campaign, Status
from orchestrator.results.summary import CaseSummary


@dataclass(frozen=True)
class _Family:
    """`field` of the summaries (or of its attacks) times `factor` is in `unit`, which ends the family's name."""

    name: str
    unit: str
    field: str
    meaning: str
    factor: float = 1.0


_NS = 1e-9
_OF_CASES = (
    _Family("inference_median", "seconds", "median_ns", "Median of trials, interference taken out.", _NS),
    _Family("inference_median_low", "seconds", "median_low_ns", "Lower end of the median's 95 % interval.", _NS),
    _Family("inference_median_high", "seconds", "median_high_ns", "Upper end of the median's 95 % interval.", _NS),
    _Family("inference_p90", "seconds", "p90_ns", "90 % of inferences are faster.", _NS),
    _Family("inference_p99", "seconds", "p99_ns", "99 % of inferences are faster.", _NS),
    _Family("first_inference", "seconds", "first_ns", "First, cold inference.", _NS),
    _Family("load", "seconds", "load_ns", "Loading the artifact.", _NS),
    _Family("import", "seconds", "import_ns", "Importing the runtime.", _NS),
    _Family("time_to_source", "ratio", "ratio_to_source", "Median over that of the source framework's own runtime."),
    _Family("time_to_source_low", "ratio", "ratio_to_source_low", "Lower end of its 95 % interval."),
    _Family("time_to_source_high", "ratio", "ratio_to_source_high", "Upper end of its 95 % interval."),
    _Family("throughput", "samples_per_second", "throughput_per_s", "Samples per second at the median."),
    _Family("memory_peak", "bytes", "peak_bytes", "Highest resident size of the process."),
    _Family("device_memory", "bytes", "device_delta_bytes", "More of the device's memory in use than before the load."),
    _Family("artifact_size", "bytes", "artifact_bytes", "Size of the artifact."),
    _Family("accuracy", "ratio", "accuracy", "Share of test inputs that are labelled rightly."),
    _Family("label_agreement", "ratio", "label_agreement", "Share of test inputs with the source's label."),
    _Family("max_abs_error", "", "max_abs_error", "Largest difference to the source's answers."),
    _Family("mean_abs_error", "", "mean_abs_error", "Mean difference to the source's answers."),
    _Family("undisturbed", "ratio", "undisturbed_share", "Share of samples that no neighbour slowed."),
    _Family("timing_trials", "", "trials", "Trials that the times are of, each a fresh process."),
    _Family("memory_trials", "", "memory_trials", "Trials that the peak of memory is of."),
    _Family("stable", "", "stable", "1 where the trials agree well enough, 0 where the case is unstable."),
)
_OF_ATTACKS = (
    _Family("attacked_wrong", "ratio", "wrong_share", "Share of the attacked inputs that are labelled wrongly."),
    _Family("attacked_source_wrong", "ratio", "source_wrong_share", "The same of the source model."),
    _Family("attacked_scored", "", "scored", "Attacked inputs that the shares are of."),
)


def write(campaign: Campaign, cases: Sequence[CaseSummary], path: Path) -> None:
    """Writes the whole exposition, over an earlier one. Labels name the campaign and the case.

    A figure that a case does not have is left out. Names are on one line, without control characters.

    Raises:
        UsageError: the file cannot be written.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Cases(campaign, cases))
    try:
        path.write_bytes(generate_latest(registry))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; name another --out") from None


@dataclass(frozen=True, eq=False)
class _Cases(Collector):
    campaign: Campaign
    cases: Sequence[CaseSummary]

    def collect(self) -> Iterator[Metric]:
        yield self._about_campaign()
        yield self._status()
        for family in _OF_CASES:
            metric = _gauge(family, ("campaign", *CASE))
            for case in self.cases:
                _add(metric, family, self._labels(case), getattr(case, family.field))
            yield metric
        for family in _OF_ATTACKS:
            metric = _gauge(family, ("campaign", *CASE, "attack"))
            for case in self.cases:
                for attack in case.attacks:
                    labels = [*self._labels(case), units.literal(attack.attack)]
                    _add(metric, family, labels, getattr(attack, family.field))
            yield metric

    def _about_campaign(self) -> Metric:
        info = InfoMetricFamily("portbench_campaign", "The campaign that all of this is of.", labels=("campaign",))
        name = units.literal(self.campaign.name)
        info.add_metric((name,), {"created_at": units.literal(self.campaign.created_at)})
        return info

    def _status(self) -> Metric:
        metric = StateSetMetricFamily("portbench_status", "Outcome of the case.", labels=("campaign", *CASE))
        for case in self.cases:
            metric.add_metric(self._labels(case), {state: state == case.status for state in get_args(Status)})
        return metric

    def _labels(self, case: CaseSummary) -> list[str]:
        values = (getattr(case, name) for name in CASE)
        told = ("" if value is None else str(value) for value in values)
        return [units.literal(value) for value in (self.campaign.name, *told)]


def _gauge(family: _Family, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"portbench_{family.name}", family.meaning, labels=labels, unit=family.unit)


def _add(metric: GaugeMetricFamily, family: _Family, labels: Sequence[str], value: float | None) -> None:
    if value is not None:
        metric.add_metric(labels, float(value) * family.factor)
