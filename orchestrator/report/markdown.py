"""The report as Markdown: the answer in sentences, then one row per case."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from orchestrator.report import claims, units
from orchestrator.report.answer import answers, conversion_of, network_of, overall
from orchestrator.report.table import problems, status
from orchestrator.results.claims import Judged
from orchestrator.results.summary import CaseSummary

_HEADINGS = (
    *("network", "format/runtime", "host", "device", "batch", "threads", "accuracy", "agrees", "size", "load", "first"),
    *("median", "95 %", "ratio", "memory", "status"),
)
_SPECIAL = re.compile(r"([\\`*_\[\]#|~<>&])")


def markdown(name: str, cases: Sequence[CaseSummary], judged: Sequence[Judged], images: Sequence[str] = ()) -> str:
    """The whole page of the campaign `name`, with `images` by their paths beside it.

    Names and messages are shown as they are, whatever markup they hold.
    """
    return "\n".join(_lines(name, cases, judged, images)) + "\n"


def _lines(name: str, cases: Sequence[CaseSummary], judged: Sequence[Judged], images: Sequence[str]) -> Iterator[str]:
    yield f"# {_escaped(name)}"
    if not cases:
        yield from ("", "No results yet.")
        return
    yield ""
    yield from (f"- {_escaped(sentence.text)}" for sentence in overall(cases))
    for answer in answers(cases):
        yield from ("", f"## {_escaped(answer.network)}", "")
        yield from (f"- {sentence.topic}: {_escaped(sentence.text)}" for sentence in answer.sentences)
    yield from _claims(judged)
    yield from ("", "## Cases", "", *_table(_HEADINGS, (_cells(case) for case in cases)))
    if images:
        yield from ("", "## Plots")
        yield from (line for image in images for line in ("", f"![{PurePosixPath(image).stem}]({image})"))
    yield from ("", "## Remarks", "")
    for case in cases:
        who = f"{network_of(case)}, {conversion_of(case)}, batch {case.batch_size or units.UNKNOWN}"
        yield from (f"- {mark} {_escaped(f'{who}: {units.literal(words)}')}" for mark, words in problems(case))


def _claims(judged: Sequence[Judged]) -> Iterator[str]:
    """Nothing for campaigns without the study's networks."""
    if judged:
        yield from ("", "## The study's claims", "", _escaped(claims.INTRODUCTION))
    for told in claims.told(judged):
        yield from ("", f"### {_escaped(told.said)}", "", f"**{told.verdict}**: {_escaped(told.reason)}.")
        yield from ("", _escaped(told.to_know), "")
        if told.lines:
            yield from _table(claims.HEADINGS, told.lines)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}")
    yield from (f"| {' | '.join(map(_escaped, cells))} |" for cells in lines)


def _cells(case: CaseSummary) -> tuple[str, ...]:
    return (
        network_of(case),
        conversion_of(case),
        units.literal(case.host or units.UNKNOWN),
        units.literal(case.device or units.UNKNOWN),
        str(case.batch_size or units.UNKNOWN),
        str(case.threads or units.UNKNOWN),
        units.share(case.accuracy),
        units.share(case.label_agreement),
        units.size(case.artifact_bytes),
        units.duration(case.load_ns),
        units.duration(case.first_ns),
        units.duration(case.median_ns),
        units.interval(case.median_ns, case.median_low_ns, case.median_high_ns),
        units.ratio(case.ratio_to_source),
        units.size(case.peak_bytes),
        status(case).plain,
    )


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
