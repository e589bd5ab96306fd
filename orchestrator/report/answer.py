"""The answer in sentences: what conversion did to accuracy, speed, memory, size and robustness, and what to beware of.

Every sentence is built from the figures of the summaries, with their 95 % intervals where there are any.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from orchestrator.report import robustness, units
from orchestrator.report.table import problems
from orchestrator.results.scoring import Rate, Verdict
from orchestrator.results.summary import CaseSummary, is_source

_VERDICTS = {
    Verdict.MORE: "more vulnerable than the source",
    Verdict.LESS: "less vulnerable than the source",
    Verdict.MIXED: "more vulnerable under one attack and less under another",
    Verdict.NO_DIFFERENCE: "without a difference shown",
    Verdict.NOT_COMPARABLE: "not comparable with the source",
}
_FEW_TRIALS = 3
_MOST_NAMED = 3


@dataclass(frozen=True)
class Sentence:
    """What is said about `topic`: "accuracy", "speed", "memory", "size", "robustness" or "beware"."""

    topic: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What is said about a network of one framework."""

    network: str
    sentences: tuple[Sentence, ...]


def network_of(case: CaseSummary) -> str:
    """The network's name and framework: networks of one name from two frameworks are different ones."""
    return units.literal(f"{case.model} from {case.source_framework}")


def conversion_of(case: CaseSummary) -> str:
    """What a network was made into and what executes it."""
    runtime = f"/{case.runtime}" if case.runtime else ""
    precision = "" if case.precision == "float32" else f" {case.precision}"
    return units.literal(f"{case.format}{runtime}{precision}")


def overall(cases: Sequence[CaseSummary]) -> list[Sentence]:
    """What holds for the campaign as a whole; empty without cases."""
    if not cases:
        return []
    return [Sentence(topic, text) for topic, text in (*_overall_figures(cases), *_overall_warnings(cases)) if text]


def answers(cases: Sequence[CaseSummary]) -> list[Answer]:
    """One per network, in the order of the summaries."""
    found = []
    for network, group in groupby(cases, key=network_of):
        of_network = list(group)
        many_places = len({(case.host, case.device) for case in of_network if case.runtime}) > 1
        told = (
            ("accuracy", _accuracy(of_network)),
            ("speed", _speed(of_network, many_places)),
            ("memory", _memory(of_network, many_places)),
            ("size", _size(of_network)),
            ("robustness", _robustness(of_network)),
            ("beware", _problems(of_network)),
        )
        found.append(Answer(network, tuple(Sentence(topic, text) for topic, texts in told for text in texts)))
    return found


def _overall_figures(cases: Sequence[CaseSummary]) -> Iterator[tuple[str, str]]:
    counted = Counter("unstable" if case.status == "ok" and case.stable is False else case.status for case in cases)
    words = {"ok": "ok", "unstable": "unstable", "wrong": "wrong", "failed": "failed"}
    kinds = ", ".join(f"{counted[kind]:,} {word}" for kind, word in words.items() if counted[kind])
    networks = len({network_of(case) for case in cases})
    yield "cases", f"{_count(networks, 'network')} in {_count(len(cases), 'case')}: {kinds}."
    converted = [case for case in cases if not is_source(case)]
    yield "accuracy", _overall_accuracy(converted)
    compared = [case for case in converted if case.ratio_to_source is not None]
    if compared:
        middle = median(case.ratio_to_source or 0.0 for case in compared)
        yield (
            "speed",
            f"Of {_count(len(compared), 'converted case')}, {_speeds(compared)}, beside the source framework's own "
            f"runtime; the median takes {units.ratio(middle)} the source's time.",
        )
    yield "memory", _overall_memory(cases)
    yield "robustness", _overall_robustness(converted)


def _overall_accuracy(converted: Sequence[CaseSummary]) -> str:
    checked = list({_place(case): case for case in converted if case.label_agreement is not None}.values())
    if not checked:
        return ""
    same = sum(case.label_agreement == 1 for case in checked)
    least = min(checked, key=lambda case: case.label_agreement or 0.0)
    rest = f"; least alike: {network_of(least)} as {conversion_of(least)}, {_agreement(least)}"
    return (
        f"{same:,} of {_count(len(checked), 'converted artifact')}, each on its runner, give every test input the "
        f"label that the source gives{'' if same == len(checked) else rest}."
    )


def _overall_memory(cases: Sequence[CaseSummary]) -> str:
    ratios = [ratio for _, ratio in _memory_ratios(cases)]
    if not ratios:
        return ""
    less = sum(ratio < 1 for ratio in ratios)
    return (
        f"{less:,} of {_count(len(ratios), 'converted case')} need less memory at their peak than the source "
        f"framework's own runtime; the median needs {units.ratio(median(ratios))} as much."
    )


def _overall_robustness(converted: Sequence[CaseSummary]) -> str:
    verdicts = Counter(case.robustness for case in robustness.places(converted) if case.robustness is not None)
    told = ", ".join(f"{count:,} {_VERDICTS[verdict]}" for verdict, count in verdicts.items())
    return f"Of {_count(verdicts.total(), 'converted model')} under attack, {told}." if told else ""


def _overall_warnings(cases: Sequence[CaseSummary]) -> Iterator[tuple[str, str]]:
    timed = [case for case in cases if case.median_ns is not None]
    unstable = sum(case.stable is False for case in timed)
    if unstable:
        yield (
            "beware",
            f"{unstable:,} of {_count(len(timed), 'timed case')} did not come out stable: read their intervals.",
        )
    few = [case for case in timed if case.trials < _FEW_TRIALS]
    if few:
        yield (
            "beware",
            f"{_count(len(few), 'case')} had fewer than {_FEW_TRIALS} trials: too few to see how processes differ.",
        )
    if any(case.isolation == "process" for case in cases):
        yield (
            "beware",
            "Some runners were plain processes, not containers: they shared this machine's libraries and limits.",
        )
    if any(case.runtime == "coreml-reference" for case in cases):
        yield (
            "beware",
            "Core ML packages were evaluated, not executed: Core ML itself runs on macOS only, so nothing here is "
            "Apple's time or memory.",
        )
    if len({case.source_framework for case in cases}) > 1:
        yield (
            "beware",
            "Networks of one name from Keras and from PyTorch are different networks: never compare across them.",
        )
    if any(case.ratio_to_source is not None for case in cases):
        yield "beware", "Each interval covers its figure 19 times in 20; of many cases some differ by chance."


def _accuracy(cases: Sequence[CaseSummary]) -> Iterator[str]:
    places = list({_place(case): case for case in cases if case.label_agreement is not None}.values())
    if any(case.trained is False for case in cases):
        yield "The network is no better than always naming the most frequent class: its accuracy is no finding."
    source = next((case for case in places if is_source(case)), None)
    if source is not None and source.accuracy is not None:
        yield f"The source labels {_share_of(source.accuracy, source.check_samples)} of the test inputs rightly."
    converted = [case for case in places if not is_source(case)]
    same = list(dict.fromkeys(conversion_of(case) for case in converted if case.label_agreement == 1))
    if same:
        yield f"{_listed(same)}: the source's label for every input."
    for case in converted:
        if case.label_agreement != 1:
            yield f"{conversion_of(case)}: {_agreement(case)}{_change(case, source)}."


def _agreement(case: CaseSummary) -> str:
    return f"the source's label for {_share_of(case.label_agreement or 0.0, case.check_samples)} of the inputs"


def _change(case: CaseSummary, source: CaseSummary | None) -> str:
    if case.accuracy is None or source is None or source.accuracy is None:
        return ""
    return f", accuracy {units.share(case.accuracy)}, {100 * (case.accuracy - source.accuracy):+.2g} points"


def _share_of(share: float, samples: int) -> str:
    """With Wilson's interval."""
    low, high = Rate(round(share * samples), samples).interval()
    return (
        f"{units.share(share)} ({100 * low:.1f} to {100 * high:.1f} %) of {samples}" if samples else units.share(share)
    )


def _speed(cases: Sequence[CaseSummary], many_places: bool) -> Iterator[str]:
    compared = [case for case in cases if case.ratio_to_source is not None]
    for where, group in _by_where(compared, many_places):
        verdict = _speeds(group) if len(group) > 1 else _faster_or_slower(group[0])
        figures = ", ".join(
            f"{units.ratio(case.ratio_to_source)}{_setting(case)} ({units.ratio(case.ratio_to_source_low)} to "
            f"{units.ratio(case.ratio_to_source_high)})"
            for case in _extremes(group, [case.ratio_to_source or 0.0 for case in group])
        )
        yield f"{where}: {verdict}; the source's time becomes {figures}."
    if not compared and any(case.median_ns is not None for case in cases):
        yield "Nothing to compare with: the source framework's own runtime was not timed in the same setting."


def _speeds(compared: Sequence[CaseSummary]) -> str:
    counted = Counter(map(_faster_or_slower, compared))
    words = {"faster": "faster", "slower": "slower", "no difference shown": "without a difference shown"}
    return ", ".join(f"{counted[word]:,} {told}" for word, told in words.items() if counted[word])


def _faster_or_slower(case: CaseSummary) -> str:
    low, high = case.ratio_to_source_low, case.ratio_to_source_high
    if low is None or high is None or low <= 1 <= high:
        return "no difference shown"
    return "faster" if high < 1 else "slower"


def _memory(cases: Sequence[CaseSummary], many_places: bool) -> Iterator[str]:
    ratios = {id(case): ratio for case, ratio in _memory_ratios(cases)}
    for where, group in _by_where([case for case in cases if id(case) in ratios], many_places):
        figures = ", ".join(
            f"{units.size(case.peak_bytes)}{_setting(case)} ({units.ratio(ratios[id(case)])})"
            for case in _extremes(group, [ratios[id(case)] for case in group])
        )
        yield f"{where}: the process needs {figures} at its peak, the source's own being 1x."


def _memory_ratios(cases: Iterable[CaseSummary]) -> list[tuple[CaseSummary, float]]:
    """Peak over that of the source in the same setting."""
    known = [case for case in cases if case.peak_bytes]
    sources: Mapping[tuple[object, ...], float] = {
        _setting_of(case): case.peak_bytes or 0.0 for case in known if is_source(case)
    }
    return [
        (case, (case.peak_bytes or 0.0) / sources[_setting_of(case)])
        for case in known
        if not is_source(case) and _setting_of(case) in sources
    ]


def _size(cases: Sequence[CaseSummary]) -> Iterator[str]:
    artifacts = {(case.format, case.precision): case for case in cases if case.artifact_bytes}
    source = next((case for case in cases if is_source(case) and case.artifact_bytes), None)
    if source is None or len(artifacts) < 2:
        return
    told = [
        f"{units.literal(f'{format_} {precision}'.removesuffix(' float32'))} {units.size(case.artifact_bytes)} "
        f"({units.ratio((case.artifact_bytes or 0) / (source.artifact_bytes or 1))})"
        for (format_, precision), case in artifacts.items()
        if format_ != source.format
    ]
    yield f"{source.format} {units.size(source.artifact_bytes)}; {', '.join(told)}; sizes are exact."


def _robustness(cases: Sequence[CaseSummary]) -> Iterator[str]:
    for case in robustness.places(cases):
        if case.robustness is not None:
            yield robustness.sentence(case).plain


def _problems(cases: Sequence[CaseSummary]) -> Iterator[str]:
    """Each kind of problem once, with the first of its cases."""
    marked: dict[str, list[tuple[CaseSummary, str]]] = {}
    for case in cases:
        for mark, words in problems(case):
            if mark in ("FAILED", "WRONG", "unstable"):
                marked.setdefault(mark.lower(), []).append((case, words))
    for mark, concerned in marked.items():
        case, words = concerned[0]
        first = "first " if len(concerned) > 1 else ""
        who = f"{conversion_of(case)}{_setting(case)}"
        yield f"{len(concerned)} of {_count(len(cases), 'case')} {mark}; {first}{who}: {units.literal(words)}."


def _by_where(cases: Sequence[CaseSummary], many_places: bool) -> list[tuple[str, list[CaseSummary]]]:
    grouped: dict[str, list[CaseSummary]] = {}
    for case in cases:
        place = f" on {units.literal(f'{case.host}, {case.device}')}" if many_places else ""
        grouped.setdefault(conversion_of(case) + place, []).append(case)
    return list(grouped.items())


def _extremes(cases: Sequence[CaseSummary], figures: Sequence[float]) -> list[CaseSummary]:
    """All of a few; of many those with the smallest and the largest figure."""
    if len(cases) <= _MOST_NAMED:
        return list(cases)
    ordered = sorted(range(len(cases)), key=figures.__getitem__)
    return [cases[ordered[0]], cases[ordered[-1]]]


def _place(case: CaseSummary) -> tuple[object, ...]:
    return (case.model, case.source_framework, case.format, case.precision, case.host, case.runner, case.device)


def _setting_of(case: CaseSummary) -> tuple[object, ...]:
    return (
        case.model,
        case.source_framework,
        case.host,
        case.host_fingerprint,
        case.device,
        case.batch_size,
        case.threads,
    )


def _setting(case: CaseSummary) -> str:
    return "" if case.batch_size is None else f" at batch {case.batch_size}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
