"""Attack rows -> what is said about a converted model's robustness beside its source's. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from orchestrator.errors import Stage, Symptom
from orchestrator.results import scoring
from orchestrator.results.schema import AttackSection, Row, Status
from orchestrator.results.scoring import Paired, Rate, Score, Shift, Verdict

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class AttackSummary:
    """One attack on one artifact on one runner; see `AttackSection` for the fields that both have.

    Shares are of the `scored` inputs, intervals 95 %. `difference` is the share that is wrong here less the share that
    the source gets wrong, above 0 when this artifact does worse. `p_value` is McNemar's. `distance` is the median over
    the inputs that an attack moved; `distance_ratio` compares the attack on this artifact where it lives with the same
    attack on the source's own runtime, input by input, below 1 when less of a change fools it, and then `p_value` is
    Wilcoxon's. `compared` says whether the attack has a say in the verdict: inputs made as near to the source's
    boundary as can be fool the source by their making, so replays of those say nothing about who is more vulnerable.
    The shares ending in `_like_openja` repeat the study's mistaken scoring and are no finding.
    """

    attack: str
    status: Status
    against: str | None = None
    stage: Stage | None = None
    symptom: Symptom | None = None
    message: str | None = None
    samples: int = 0
    scored: int = 0
    source_wrong_share: float | None = None
    wrong_share: float | None = None
    wrong_low: float | None = None
    wrong_high: float | None = None
    disagreement_share: float | None = None
    disagreement_low: float | None = None
    disagreement_high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    label_agreement: float | None = None
    largest_margin: float | None = None
    norm: str | None = None
    distance: float | None = None
    distance_low: float | None = None
    distance_high: float | None = None
    distance_ratio: float | None = None
    distance_ratio_low: float | None = None
    distance_ratio_high: float | None = None
    p_value: float | None = None
    compared: bool = False
    queries: int | None = None
    queries_per_s: float | None = None
    source_wrong_share_like_openja: float | None = None
    wrong_share_like_openja: float | None = None


def summarise_attacks(rows: Iterable[Row], of_source: Mapping[str, Row]) -> tuple[AttackSummary, ...]:
    """One summary per attack on one artifact on one runner, in the order of the rows.

    Args:
        rows: attack rows of that place.
        of_source: by attack, the rows of the source framework's own runtime; empty for those rows themselves.
    """
    return tuple(_known(_summary(row, of_source.get(row.attack or ""))) for row in rows)


def verdict(attacks: Sequence[AttackSummary]) -> Verdict | None:
    """Of all comparisons together, corrected for their number (Holm); None where nothing was attacked."""
    compared = [attack for attack in attacks if attack.compared and attack.p_value is not None]
    if not compared:
        return Verdict.NOT_COMPARABLE if attacks else None
    adjusted = scoring.holm([attack.p_value or 0.0 for attack in compared])
    worse = {is_worse(attack) for attack, p_value in zip(compared, adjusted, strict=True) if p_value < SIGNIFICANT}
    if len(worse) == 2:
        return Verdict.MIXED
    return {None: Verdict.NO_DIFFERENCE, True: Verdict.MORE, False: Verdict.LESS}[next(iter(worse), None)]


def is_worse(attack: AttackSummary) -> bool:
    """Whether this artifact does worse than its source, be it significantly or not."""
    if attack.distance_ratio is not None:
        return attack.distance_ratio < 1
    return (attack.difference or 0.0) > 0


def _known(summary: AttackSummary) -> AttackSummary:
    """With null for what is not a finite number, such as a share of nothing: JSON has no words for it."""
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    unknown: dict[str, Any] = {
        name: None for name, value in values.items() if isinstance(value, float) and not isfinite(value)
    }
    return replace(summary, **unknown)


def _summary(row: Row, of_source: Row | None) -> AttackSummary:
    found = row.robustness
    if found is None:
        return AttackSummary(str(row.attack), row.status, None, row.stage, row.symptom, row.message)
    rate = Rate(found.wrong, found.scored)
    disagreements = Rate(found.disagreements, found.scored)
    like_openja = scoring.like_openja(found.outcomes, answers_first_only=row.format == "coreml")
    return AttackSummary(
        attack=str(row.attack),
        status=row.status,
        against=found.against,
        stage=row.stage,
        symptom=row.symptom,
        message=row.message,
        samples=found.samples,
        scored=found.scored,
        source_wrong_share=_share(Rate(found.source_wrong, found.scored)),
        wrong_share=_share(rate),
        wrong_low=found.wrong_low,
        wrong_high=found.wrong_high,
        disagreement_share=_share(disagreements),
        disagreement_low=found.disagreements_low,
        disagreement_high=found.disagreements_high,
        label_agreement=found.label_agreement,
        largest_margin=max((max(margin.source, margin.converted) for margin in found.margins), default=None),
        norm=found.norm,
        queries=found.queries,
        queries_per_s=found.queries_per_s,
        **_distance(found),
        **_comparison(row, found, of_source),
        **_openja(like_openja),
    )


def _share(rate: Rate) -> float | None:
    return rate.share if rate.total else None


def _distance(found: AttackSection) -> dict[str, Any]:
    moved = np.array([distance for distance in found.distances if 0 < distance < inf])
    if not len(moved):
        return {}
    low, high = scoring.median_interval(moved)
    return {"distance": float(np.median(moved)), "distance_low": low, "distance_high": high}


def _comparison(row: Row, found: AttackSection, of_source: Row | None) -> dict[str, Any]:
    """With the source: by distances where each was attacked by itself, else by the same inputs' outcomes."""
    paired = Paired(found.scored, found.only_source_wrong, found.only_this_wrong)
    if not found.scored:
        return {}
    low, high = paired.interval()
    told: dict[str, Any] = {
        "difference": paired.difference,
        "difference_low": low,
        "difference_high": high,
        "p_value": found.mcnemar_p,
        "compared": row.status == "ok" and (found.epsilon is not None or found.words is not None),
    }
    if found.against == "source":
        return told
    shift = _shift(found, of_source)
    if shift is None:
        return told | {"p_value": None, "compared": False}
    return told | {
        "distance_ratio": shift.ratio,
        "distance_ratio_low": shift.low,
        "distance_ratio_high": shift.high,
        "p_value": shift.p_value,
        "compared": row.status == "ok",
    }


def _shift(found: AttackSection, of_source: Row | None) -> Shift | None:
    theirs = of_source.robustness if of_source else None
    if theirs is None or len(theirs.distances) != len(found.distances):
        return None
    return scoring.shift(np.array(found.distances), np.array(theirs.distances))


def _openja(score: Score) -> dict[str, Any]:
    return {
        "source_wrong_share_like_openja": _share(score.source),
        "wrong_share_like_openja": _share(score.converted),
    }
