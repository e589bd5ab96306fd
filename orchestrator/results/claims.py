"""The claims of the study beside a campaign's figures: each holds, does not hold, or cannot be said. Pure.

A claim is about networks of both source frameworks. It holds where every network that can be judged says so, it does
not hold where one says the contrary. What the figures leave open is neither: a difference that is not shown is not yet
sameness, which only an interval shows that lies within a margin as a whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.results import findings, scoring, statistics, study
from orchestrator.results.attacks import SIGNIFICANT, AttackSummary
from orchestrator.results.attacks import verdict as verdict_of_attacks
from orchestrator.results.findings import Finding, Judgement
from orchestrator.results.pairs import name_of
from orchestrator.results.scoring import Paired
from orchestrator.results.selection import Name
from orchestrator.results.study import PUBLISHED, Published
from orchestrator.results.summary import CaseSummary, Measured, is_source
from orchestrator.runtimes import SOURCE_FORMATS, source_format

SAME_ACCURACY = 0.01
"""Largest change, as a share of the source's accuracy, that leaves it at the same level: MLPerf Inference asks for at
least 99 % of the quality in float32."""

SAME_ROBUSTNESS = 0.02
"""The same for the share of attacked inputs that are wrong; 100 inputs without a single difference show it."""


class Verdict(StrEnum):
    """On a claim, or on what one network says about it."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does-not-hold"
    CANNOT_BE_SAID = "cannot-be-said"


@dataclass(frozen=True)
class Figure:
    """What a converted network, where `case` was executed, says about a claim.

    `found.change` is a ratio to the source or a difference from it, as the claim's `unit` says, with its 95 % interval;
    p-values are adjusted for the claim's number of figures. `published` is the same figure in the study's package.
    `verdict` is None where the network has no say.
    """

    case: CaseSummary
    found: Finding
    published: float | None
    verdict: Verdict | None
    reason: str


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict and the figures that this comes from."""

    claim: "Claim"
    verdict: Verdict
    reason: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class _Network:
    """All cases of a network from one framework."""

    published: Published
    cases: Sequence[Measured]

    def converted(self, claim: "Claim") -> list[Measured]:
        """As the study did it, in float32; of each artifact on each runner those with every batch size."""
        return [
            case
            for case in self.cases
            if (case.summary.format, case.summary.precision) == (claim.format, "float32")
            and (not claim.runtimes or case.summary.runtime in claim.runtimes)
        ]

    def sources(self) -> list[Measured]:
        """On its own runtime."""
        return [case for case in self.cases if is_source(case.summary)]


_Found = tuple[CaseSummary, Finding, float | None]
_Verdict = tuple[Verdict | None, str]


@dataclass(frozen=True)
class Claim:
    """`said` is the claim, `needs` what a campaign must have for it to be judged.

    `runtimes`: what must have executed the artifact; nothing need have where there are none. `unit`: "ratio" or
    "points". `look` finds a network's figures with p-values as if each were the only one, `judge` says what one means.
    """

    name: str
    said: str
    needs: str
    unit: str
    format: str
    runtimes: tuple[str, ...]
    look: Callable[["Claim", _Network], Iterator[_Found]]
    judge: Callable[[Finding, float | None], _Verdict]


def judge(cases: Sequence[Measured]) -> list[Judged]:
    """Every claim; empty for a campaign without any of the study's networks.

    Args:
        cases: from `summary.measure`.
    """
    by_network: dict[tuple[str, str], list[Measured]] = {}
    for case in cases:
        by_network.setdefault((case.summary.model, case.summary.source_framework), []).append(case)
    networks = [_Network(PUBLISHED[name], group) for name, group in by_network.items() if name in PUBLISHED]
    return [_judged(claim, networks) for claim in CLAIMS] if networks else []


def _judged(claim: Claim, networks: Sequence[_Network]) -> Judged:
    seen = [found for network in networks for found in claim.look(claim, network)]
    p_values = iter(scoring.holm([found.p_value for _, found, _ in seen if found.p_value is not None]))
    comparisons = sum(found.p_value is not None for _, found, _ in seen)
    figures = []
    for case, found, published in seen:
        settled = found if found.p_value is None else findings.settled(found, next(p_values), comparisons)
        if settled.verdict is Judgement.NOT_COMPARABLE:
            figures.append(Figure(case, settled, published, None, settled.reason))
        else:
            figures.append(Figure(case, settled, published, *claim.judge(settled, published)))
    return Judged(claim, *_together(claim, figures), tuple(figures))


def _together(claim: Claim, figures: Sequence[Figure]) -> tuple[Verdict, str]:
    """What the networks say together. A network with several figures says what the worst of them does."""
    if not figures:
        return Verdict.CANNOT_BE_SAID, f"it needs {claim.needs}"
    by_network: dict[tuple[str, str], set[Verdict]] = {}
    for figure in figures:
        if figure.verdict is not None:
            by_network.setdefault((figure.case.model, figure.case.source_framework), set()).add(figure.verdict)
    order = (Verdict.DOES_NOT_HOLD, Verdict.CANNOT_BE_SAID, Verdict.HOLDS)
    said = [next(verdict for verdict in order if verdict in verdicts) for verdicts in by_network.values()]
    if not by_network:
        return Verdict.CANNOT_BE_SAID, f"no network can be judged here: {figures[0].reason}"
    missing = [framework for framework in SOURCE_FORMATS if framework not in {name[1] for name in by_network}]
    if missing:
        reason = f"it takes networks of both frameworks, and none from {' or '.join(missing)} can be judged here"
        return Verdict.CANNOT_BE_SAID, reason
    words = {
        Verdict.HOLDS: "it holds for",
        Verdict.DOES_NOT_HOLD: "it does not for",
        Verdict.CANNOT_BE_SAID: "it is open for",
    }
    counts = ", ".join(f"{word} {said.count(verdict)}" for verdict, word in words.items() if verdict in said)
    reason = f"of the study's {len(PUBLISHED)} networks {len(said)} can be judged here: {counts}"
    return next(verdict for verdict in order if verdict in said), reason


def _accuracy(claim: Claim, network: _Network) -> Iterator[_Found]:
    """The paired difference of accuracies, in shares of the test inputs."""
    published = network.published.changed_labels.get(claim.format)
    for case in _places(network.converted(claim)):
        sources = sorted(network.sources(), key=lambda source: source.summary.host != case.summary.host)
        source = next((source for source in sources if source.check is not None), None)
        yield _of_every_batch(case.summary), _paired_accuracy(source, case), published


def _paired_accuracy(source: Measured | None, case: Measured) -> Finding:
    if source is None or source.check is None:
        return findings.not_comparable("the source's own runtime was not asked about the test inputs")
    if case.check is None or case.check.check is None:
        return findings.not_comparable(case.summary.message or "it was not asked about the test inputs")
    sides = source.summary.accuracy, case.summary.accuracy
    if sides[0] is None or sides[1] is None:
        untrained = "the network is no better than naming the most frequent class"
        return findings.not_comparable(untrained if case.summary.trained is False else "no accuracy is known", sides)
    if source.check.inputs_sha256 != case.check.inputs_sha256:
        return findings.not_comparable("source and conversion were asked about different inputs", sides)
    total = case.summary.check_samples
    more_wrong = round((sides[0] - sides[1]) * total)
    changed = round((1 - case.check.check.label_agreement) * total)
    paired = Paired.of_counts(total, more_wrong, changed)
    low, high = paired.interval()
    verdict = Judgement.WORSE if more_wrong > 0 else Judgement.BETTER if more_wrong else Judgement.NO_DIFFERENCE
    told = f"{changed} of {total} labels are not the source's"
    return Finding(verdict, told, *sides, -paired.difference, -high, -low, paired.p_value())


def _same_accuracy(found: Finding, _: float | None) -> _Verdict:
    return _same_level(found, SAME_ACCURACY * float(found.base or 0))


def _size(claim: Claim, network: _Network) -> Iterator[_Found]:
    """Bytes of the artifact over those of the source's, neither of which has the optimizer's state in it."""
    sources = [case for case in network.cases if case.summary.format == source_format(case.summary.source_framework)]
    source = next((case.summary for case in sources if case.summary.artifact_bytes), None)
    case = next((case.summary for case in network.converted(claim) if case.summary.artifact_bytes), None)
    if source is not None and case is not None:
        found = findings.of_size(source, case, statistics.DEFAULT_THRESHOLD, None)
        if found is not None:
            yield _of_every_batch(case), _told_of_size(found, case), network.published.size_ratio(claim.format)


def _told_of_size(found: Finding, case: CaseSummary) -> Finding:
    """With what the ratio is to a source as the package has it."""
    least = f"by more than {statistics.DEFAULT_THRESHOLD:.0%}"
    words = {Judgement.BETTER: f"smaller {least}", Judgement.WORSE: f"bigger {least}"}
    reason = words.get(found.verdict, f"not smaller {least}")
    if case.bytes_with_optimizer is not None and case.artifact_bytes is not None:
        like_published = case.artifact_bytes / case.bytes_with_optimizer
        reason += f"; beside a source with its optimizer's state {like_published:.2f}x"
    return replace(found, reason=reason)


def _smaller(found: Finding, _: float | None) -> _Verdict:
    """A file has one size: no difference is one too."""
    return (Verdict.HOLDS if found.verdict is Judgement.BETTER else Verdict.DOES_NOT_HOLD), found.reason


def _time(claim: Claim, network: _Network) -> Iterator[_Found]:
    """The ratio of medians to the source's in the same setting, at the batch size that is nearest to the study's."""
    sources = {_setting(source): source for source in network.sources() if source.trials}
    by_place: dict[Name, list[Measured]] = {}
    for case in network.converted(claim):
        if case.trials and _setting(case) in sources:
            by_place.setdefault(name_of(case.summary, without=("batch_size",)), []).append(case)
    for cases in by_place.values():
        case = min(cases, key=_away_from_the_studys_batch)
        found = findings.of_time(sources[_setting(case)], case, statistics.DEFAULT_THRESHOLD)
        yield case.summary, found, network.published.time_ratio(claim.format)


def _as_published(found: Finding, published: float | None) -> _Verdict:
    """Faster where the package says faster, slower where it says slower."""
    claimed, threshold = published or 1.0, statistics.DEFAULT_THRESHOLD
    if max(claimed, 1 / claimed) < 1 + threshold:
        return None, f"the package's own figures differ by less than {threshold:.0%}"
    if found.verdict is not Judgement.NO_DIFFERENCE:
        same = (found.verdict is Judgement.WORSE) == (claimed > 1)
        return (Verdict.HOLDS if same else Verdict.DOES_NOT_HOLD), found.reason
    if found.low is not None and found.high is not None and max(found.high, 1 / found.low) < 1 + threshold:
        return Verdict.DOES_NOT_HOLD, f"the whole interval is within {threshold:.0%} of the source's time"
    return Verdict.CANNOT_BE_SAID, found.reason


def _attacks(claim: Claim, network: _Network) -> Iterator[_Found]:
    """Of the attacks that were made on the source and replayed, as the study's were, the one that says most."""
    published = network.published.attacked.get(claim.format)
    difference = None if published is None else published[1] - published[0]
    for case in _places(network.converted(claim)):
        if case.summary.attacks:
            yield _of_every_batch(case.summary), _attacked(case.summary), difference


def _attacked(case: CaseSummary) -> Finding:
    replayed = [attack for attack in case.attacks if attack.compared and attack.against == "source"]
    if case.trained is False:
        return findings.not_comparable("the network is no better than naming the most frequent class")
    if not replayed:
        return findings.not_comparable("no attack was replayed by which source and conversion can be judged")
    verdict = verdict_of_attacks(replayed)
    if verdict is scoring.Verdict.MIXED:
        return findings.not_comparable("it is more vulnerable under one attack and less under another")
    p_values = scoring.holm([attack.p_value or 0.0 for attack in replayed])
    p_value, attack = min(zip(p_values, replayed, strict=True), key=lambda each: (each[0], -_farthest(each[1])))
    if p_value >= SIGNIFICANT:
        attack = max(replayed, key=_farthest)
    judgement = _OF_ATTACKS.get(verdict, Judgement.NO_DIFFERENCE)
    many = f"; it says most of {len(replayed)} attacks" if len(replayed) > 1 else ""
    reason = f"{attack.attack}, {attack.scored} inputs{many}"
    sides = attack.source_wrong_share, attack.wrong_share
    ends = attack.difference, attack.difference_low, attack.difference_high
    return Finding(judgement, reason, *sides, *ends, p_value)


_OF_ATTACKS: Mapping[scoring.Verdict | None, Judgement] = {
    scoring.Verdict.MORE: Judgement.WORSE,
    scoring.Verdict.LESS: Judgement.BETTER,
}


def _as_robust(found: Finding, _: float | None) -> _Verdict:
    return _same_level(found, SAME_ROBUSTNESS)


def _more_vulnerable(found: Finding, _: float | None) -> _Verdict:
    if found.verdict is Judgement.WORSE:
        return Verdict.HOLDS, found.reason
    if found.verdict is Judgement.BETTER or (found.high or 0.0) < SAME_ROBUSTNESS:
        return Verdict.DOES_NOT_HOLD, found.reason
    return Verdict.CANNOT_BE_SAID, f"too few inputs to rule {100 * SAME_ROBUSTNESS:g} points out: {found.reason}"


def _same_level(found: Finding, margin: float) -> _Verdict:
    """The same where the whole interval lies within the margin, another one where it is significant and beyond it."""
    change, low, high = found.change or 0.0, found.low or 0.0, found.high or 0.0
    if -margin < low and high < margin:
        return Verdict.HOLDS, found.reason
    if found.verdict is not Judgement.NO_DIFFERENCE and abs(change) >= margin:
        return Verdict.DOES_NOT_HOLD, found.reason
    return Verdict.CANNOT_BE_SAID, f"the interval is not within {100 * margin:.2g} points: {found.reason}"


def _places(cases: Sequence[Measured]) -> list[Measured]:
    """One of each artifact on each runner: answers hold for every batch size and number of threads."""
    return list({name_of(case.summary, without=("batch_size", "threads")): case for case in cases}.values())


def _of_every_batch(case: CaseSummary) -> CaseSummary:
    """What a figure is of that holds for all of them."""
    return replace(case, batch_size=None, threads=None)


def _setting(case: Measured) -> Name:
    shared = name_of(case.summary, without=("format", "precision", "runner", "runtime"))
    return (*shared, case.summary.host_fingerprint)


def _away_from_the_studys_batch(case: Measured) -> float:
    batch_size = case.summary.batch_size or 1
    return max(batch_size / study.TIMED_BATCH, study.TIMED_BATCH / batch_size)


def _farthest(attack: AttackSummary) -> float:
    """From no difference, of its interval's ends."""
    return max(abs(attack.difference_low or 0.0), abs(attack.difference_high or 0.0))


_ON_ONNX, _ON_COREML = ("onnxruntime",), ("coreml", "coreml-reference")

CLAIMS = (
    Claim(
        name="accuracy-onnx",
        said="Converted to ONNX, models are as accurate as before.",
        needs="networks in ONNX, float32, with the answers of ONNX Runtime and of their sources",
        unit="points",
        format="onnx",
        runtimes=_ON_ONNX,
        look=_accuracy,
        judge=_same_accuracy,
    ),
    Claim(
        name="accuracy-coreml",
        said="Converted to Core ML, models are as accurate as before.",
        needs="networks in Core ML, float32, with the answers of coreml or coreml-reference and of their sources",
        unit="points",
        format="coreml",
        runtimes=_ON_COREML,
        look=_accuracy,
        judge=_same_accuracy,
    ),
    Claim(
        name="size-onnx",
        said="Models get smaller by conversion to ONNX.",
        needs="networks in ONNX, float32, and their sources",
        unit="ratio",
        format="onnx",
        runtimes=(),
        look=_size,
        judge=_smaller,
    ),
    Claim(
        name="size-coreml",
        said="Models get smaller by conversion to Core ML.",
        needs="networks in Core ML, float32, and their sources",
        unit="ratio",
        format="coreml",
        runtimes=(),
        look=_size,
        judge=_smaller,
    ),
    Claim(
        name="time-onnx",
        said="On ONNX Runtime, every model becomes faster or slower as the package's figures say.",
        needs="networks in ONNX, float32, timed on ONNX Runtime, and their sources timed in the same setting",
        unit="ratio",
        format="onnx",
        runtimes=_ON_ONNX,
        look=_time,
        judge=_as_published,
    ),
    Claim(
        name="time-coreml",
        said="On Core ML, every model becomes faster or slower as the package's figures say.",
        needs="networks in Core ML, float32, timed on Core ML itself, which is macOS only, and their sources there",
        unit="ratio",
        format="coreml",
        runtimes=("coreml",),
        look=_time,
        judge=_as_published,
    ),
    Claim(
        name="robustness-onnx",
        said="Converted to ONNX, models are as robust against attacks as before.",
        needs="networks in ONNX, float32, to which attacks on their sources were replayed on ONNX Runtime",
        unit="points",
        format="onnx",
        runtimes=_ON_ONNX,
        look=_attacks,
        judge=_as_robust,
    ),
    Claim(
        name="robustness-coreml",
        said="Converted to Core ML, models are more vulnerable to attacks than before.",
        needs="networks in Core ML, float32, to which attacks were replayed on coreml or coreml-reference",
        unit="points",
        format="coreml",
        runtimes=_ON_COREML,
        look=_attacks,
        judge=_more_vulnerable,
    ),
)
"""In the order of the study's questions."""
