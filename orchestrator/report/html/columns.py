"""The columns of the page's table of cases: what is shown, and what it is sorted and drawn by."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.report import units
from orchestrator.report.answer import conversion_of, network_of
from orchestrator.report.table import status
from orchestrator.results.summary import CaseSummary, is_source

Value = str | float | bool | None


@dataclass(frozen=True)
class Column:
    """`shown` is the cell's text; `value` is what the browser sorts by; `at_first`: seen before one chooses columns."""

    key: str
    heading: str
    meaning: str
    value: Callable[[CaseSummary], Value]
    shown: Callable[[CaseSummary], str]
    at_first: bool = True
    numeric: bool = True


def _text(
    key: str, heading: str, meaning: str, of: Callable[[CaseSummary], str | None], at_first: bool = True
) -> Column:
    def literal(case: CaseSummary) -> str:
        return units.literal(of(case) or units.UNKNOWN)

    return Column(key, heading, meaning, literal, literal, at_first, numeric=False)


def _figure(
    key: str, heading: str, meaning: str, name: str, shown: Callable[[float | None], str], at_first: bool = True
) -> Column:
    def value(case: CaseSummary) -> Value:
        found: Value = getattr(case, name)
        return found

    return Column(key, heading, meaning, value, lambda case: shown(getattr(case, name)), at_first)


def _number(value: float | None) -> str:
    return units.UNKNOWN if value is None else f"{value:,.4g}"


def _median(case: CaseSummary) -> str:
    interval = units.interval(case.median_ns, case.median_low_ns, case.median_high_ns)
    return f"{units.duration(case.median_ns)} {interval}".rstrip()


def _ratio(case: CaseSummary) -> str:
    if case.ratio_to_source is None:
        return "base" if is_source(case) and case.median_ns is not None else units.UNKNOWN
    ends = (units.ratio(case.ratio_to_source_low), units.ratio(case.ratio_to_source_high))
    return f"{units.ratio(case.ratio_to_source)} ({ends[0]} to {ends[1]})"


COLUMNS = (
    _text("network", "network", "model and the framework that trained it", network_of),
    _text("conversion", "format/runtime", "what it was converted to and what executes it", conversion_of),
    _text("host", "host", "machine, as the inventory names it", lambda case: case.host, at_first=False),
    _text("device", "device", "what executes it", lambda case: case.device),
    _figure("batch", "batch", "samples per inference", "batch_size", _number),
    _figure("threads", "threads", "of one operator", "threads", _number, at_first=False),
    _text("status", "status", "ok, unstable, checked, not run, wrong or failed", lambda case: status(case).plain),
    Column("median", "median (95 %)", "of trials, interference taken out", lambda case: case.median_ns, _median),
    Column("ratio", "ratio (95 %)", "over the source's median", lambda case: case.ratio_to_source, _ratio),
    _figure("memory", "memory", "peak of the process", "peak_bytes", units.size),
    _figure("device_memory", "device memory", "more in use after a trial", "device_delta_bytes", units.size, False),
    _figure("accuracy", "accuracy", "share of test inputs labelled rightly", "accuracy", units.share),
    _figure("agrees", "agrees", "share of test inputs with the source's label", "label_agreement", units.share),
    _figure("error", "largest error", "largest difference to the source's answers", "max_abs_error", _number, False),
    _figure("size", "size", "of the artifact", "artifact_bytes", units.size),
    _figure("load", "load", "loading the artifact", "load_ns", units.duration),
    _figure("first", "first", "first, cold inference", "first_ns", units.duration),
    _figure("p99", "p99", "99 % of inferences are faster", "p99_ns", units.duration, False),
    _figure("throughput", "samples/s", "at the median", "throughput_per_s", _number, False),
    _figure(
        "quiet", "undisturbed", "share of samples that no neighbour slowed", "undisturbed_share", units.share, False
    ),
    _figure("trials", "trials", "timed, each in a fresh process", "trials", _number, False),
)
