"""What attacks did: a table per network, a sentence per converted model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.results.attacks import AttackSummary, is_worse
from orchestrator.results.scoring import Verdict, holm
from orchestrator.results.summary import CaseSummary

_VERDICTS = {
    Verdict.MORE: "more vulnerable than its source",
    Verdict.LESS: "less vulnerable than its source",
    Verdict.MIXED: "more vulnerable than its source under one attack, less under another",
    Verdict.NO_DIFFERENCE: "no difference to its source is shown",
    Verdict.NOT_COMPARABLE: "not comparable with its source: no attack that both can be judged by went through",
}
_STYLES = {Verdict.MORE: "bold red", Verdict.LESS: "green", Verdict.MIXED: "yellow"}
_HEADINGS = ("on", "scored", "source", "wrong (95 %)", "differs", "distance", "queries/s")
_HEADINGS_LIKE_OPENJA = ("on", "wrong before", "wrong after")
_LEGEND = (
    "scored: inputs that source and converted model both classify rightly before the attack. source, wrong: share of "
    "them that the source and this artifact get wrong after it, with Wilson's 95 % interval. differs: another class "
    "than the source's. distance: median change, in the attack's norm or in words. An attack whose name ends in runner "
    "was made on this artifact where it lives, all others on the source. Inputs that seek the smallest change lie on "
    "the boundary of the model they were made on, so those replayed have no say in who is more vulnerable."
)
_LEGEND_LIKE_OPENJA = (
    "Scored as the study did, which is a mistake and no finding: inputs filtered one at a time, then all attacked ones "
    "scored at once, for which a Core ML package with a batch of one answers about the first only; that answer is held "
    "against every label."
)


@dataclass(frozen=True)
class RobustnessReport:
    """Renders what the cases' attacks did; nothing where there were none."""

    cases: Sequence[CaseSummary]
    like_openja: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        attacked = places(self.cases)
        if not attacked:
            return
        for network, group in groupby(attacked, key=_network):
            yield Text(f"attacks on {network}", style="bold", overflow="fold")
            yield _table(list(group), self.like_openja)
            yield Text()
        yield Text(_LEGEND_LIKE_OPENJA if self.like_openja else _LEGEND, style="bold" if self.like_openja else "dim")
        yield Text()
        if not self.like_openja:
            yield from (sentence(case) for case in attacked if case.robustness is not None)
        yield from _problems(attacked)


def places(cases: Sequence[CaseSummary]) -> list[CaseSummary]:
    """One case of each artifact on each runner: attacks hold for every batch size."""
    by_place = {
        (case.model, case.source_framework, case.format, case.precision, case.host, case.runner, case.device): case
        for case in cases
        if case.attacks
    }
    return list(by_place.values())


def _network(case: CaseSummary) -> str:
    return units.literal(f"{case.model} from {case.source_framework} ({case.data})")


def _table(places: Sequence[CaseSummary], like_openja: bool) -> Table:
    """Below the name of each attack a line for each artifact."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    headings = _HEADINGS_LIKE_OPENJA if like_openja else _HEADINGS
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[0] else "right", overflow="fold")
    for label in dict.fromkeys(attack.attack for case in places for attack in case.attacks):
        table.add_row(Text(units.literal(label), style="bold"))
        for case in places:
            for attack in case.attacks:
                if attack.attack == label and attack.status != "failed":
                    cells = _cells_like_openja(attack) if like_openja else _cells(attack)
                    table.add_row(Text(f"  {units.literal(_executed(case))}"), *cells)
    return table


def _cells(attack: AttackSummary) -> tuple[str, ...]:
    wrong = f"{units.share(attack.wrong_share)} {_range(attack.wrong_low, attack.wrong_high)}"
    return (
        f"{attack.scored} of {attack.samples}",
        units.share(attack.source_wrong_share),
        wrong if attack.scored else units.UNKNOWN,
        units.share(attack.disagreement_share),
        units.UNKNOWN if attack.distance is None else f"{attack.distance:.3g}",
        units.UNKNOWN if attack.queries_per_s is None else f"{attack.queries_per_s:,.0f}",
    )


def _cells_like_openja(attack: AttackSummary) -> tuple[str, ...]:
    return units.share(attack.source_wrong_share_like_openja), units.share(attack.wrong_share_like_openja)


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"({100 * low:.1f}-{100 * high:.1f})"


def _executed(case: CaseSummary) -> str:
    return f"{case.runtime} {case.precision}" if case.precision != "float32" else str(case.runtime)


def _who(case: CaseSummary) -> str:
    return units.literal(f"{case.model} from {case.source_framework} as {case.format} on {_executed(case)}")


def sentence(case: CaseSummary) -> Text:
    """Whether the converted model is more vulnerable, and the figure with its interval that says most about it."""
    if case.robustness is None:
        raise ValueError("a source is not compared with itself")
    who = _who(case)
    if case.trained is False:
        words: tuple[str, str] = ("no finding", "yellow")
        why = "the network is no better than naming the most frequent class"
        return Text.assemble(who, ": ", words, f", {why}.", overflow="fold")
    verdict = (_VERDICTS[case.robustness], _STYLES.get(case.robustness, ""))
    told = [attack for attack in case.attacks if attack.compared]
    if not told:
        return Text.assemble(who, ": ", verdict, ".", overflow="fold")
    p_values = holm([attack.p_value or 0.0 for attack in told])
    p_value, _, attack = min(
        zip(p_values, (-_size(attack) for attack in told), told, strict=True), key=lambda it: it[:2]
    )
    count = f"{len(told)} attacks" if len(told) > 1 else "one attack"
    return Text.assemble(
        who,
        ": ",
        verdict,
        f" in {count}; most under {units.literal(attack.attack)}: {_figure(attack)}, ",
        f"p = {p_value:.2g} for all together.",
        overflow="fold",
    )


def _size(attack: AttackSummary) -> float:
    return abs((attack.distance_ratio or 1.0) - 1) if attack.distance_ratio is not None else abs(attack.difference or 0)


def _figure(attack: AttackSummary) -> str:
    if attack.distance_ratio is not None and attack.distance_ratio_low is not None:
        side = "nearer" if is_worse(attack) else "farther"
        interval = f"{attack.distance_ratio_low:.3f} to {attack.distance_ratio_high or 0:.3f}"
        return f"fooled at {attack.distance_ratio:.3f} times the source's distance ({interval}), {side}"
    low, high = 100 * (attack.difference_low or 0), 100 * (attack.difference_high or 0)
    difference = 100 * (attack.difference or 0)
    return f"{difference:+.1f} % of {attack.scored} inputs wrong beside the source ({low:+.1f} to {high:+.1f} %)"


def _problems(places: Sequence[CaseSummary]) -> Iterator[Text]:
    for case in places:
        for attack in case.attacks:
            what = f" {_who(case)}, {units.literal(attack.attack)}: "
            if attack.status != "ok":
                told = units.literal(f"{attack.stage} {attack.symptom}: {attack.message}")
                yield Text.assemble((attack.status.upper(), "bold red"), what, told, overflow="fold")
            elif attack.label_agreement is not None and attack.label_agreement < 1 and attack.against == "source":
                share, margin = units.share(1 - attack.label_agreement), attack.largest_margin or 0
                told = f"{share} of the labels are not the source's, by margins of {margin:.2g} or less"
                yield Text.assemble(("note", "dim"), what, told, overflow="fold")
