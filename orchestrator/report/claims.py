"""The study's claims beside this campaign: an object for programs, words for the pages."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.report import units
from orchestrator.report.answer import conversion_of, network_of
from orchestrator.results.claims import Claim, Figure, Judged, Verdict
from orchestrator.results.pairs import CASE

HEADINGS = ("network", "converted", "in the study", "here (95 %)", "says", "why")
INTRODUCTION = (
    "Claims of Openja et al., An Empirical Study of Challenges in Converting Deep Learning Models (ICSME 2022), beside "
    "this campaign. A claim holds where every network that can be judged says so, and does not hold where one says the "
    "contrary; figures of one claim are corrected for their number (Holm)."
)
WORDS = {
    Verdict.HOLDS: "holds",
    Verdict.DOES_NOT_HOLD: "does not hold",
    Verdict.CANNOT_BE_SAID: "cannot be said",
    None: "no say",
}
_SAME = "The same level: the whole interval is within 1 % of the source's accuracy."
_EVALUATED = "What coreml-reference answered was evaluated operation by operation, not executed by Core ML itself."
_SIZES = (
    "Smaller: by more than 2 %. The package's Keras sources hold the optimizer's state, its conversions do not; "
    "without it sizes differ by about 1 %. What the package calls memory is the size of the file."
)
_TIMES = (
    "The package's times are one first call each with a batch of 128, without warm-up; PyTorch's VGG was probably "
    "timed at 224 x 224. Here it is the steady state at the batch size that is nearest to 128."
)
_TO_KNOW = {
    "accuracy-onnx": f"The package has no accuracy after conversion; of two Keras networks no label changed. {_SAME}",
    "accuracy-coreml": f"The package has no accuracy after conversion. {_SAME} {_EVALUATED}",
    "size-onnx": _SIZES,
    "size-coreml": _SIZES,
    "time-onnx": _TIMES,
    "time-coreml": _TIMES,
    "robustness-onnx": "The same level: the whole interval is within 2 points of the source's share of wrong inputs.",
    "robustness-coreml": (
        "The package's shares near 90 % are near chance and alike for two attacks: inputs were filtered one at a time "
        "and scored all at once, for which a Core ML package of that time may have answered about the first only; see "
        f"'portbench report DIR --score-like-openja'. {_EVALUATED}"
    ),
}
"""By claim: what its figures in the package are worth, and how it is judged here."""


@dataclass(frozen=True)
class Told:
    """A claim in words: `verdict` is one of `WORDS`, each line has a cell for each of `HEADINGS`."""

    said: str
    verdict: str
    reason: str
    to_know: str
    lines: tuple[tuple[str, ...], ...]


def told(judged: Sequence[Judged]) -> list[Told]:
    """All of them, names and messages literal."""
    return [
        Told(
            one.claim.said,
            WORDS[one.verdict],
            one.reason,
            _TO_KNOW[one.claim.name],
            tuple(_line(one.claim, figure) for figure in one.figures),
        )
        for one in judged
    ]


def as_object(judged: Sequence[Judged]) -> dict[str, Any]:
    """For `claims.json`. Ratios are to the source, points are shares (0.01 is one), sizes are bytes, times ns."""
    return {
        "claims": [
            {
                "claim": one.claim.name,
                "said": one.claim.said,
                "verdict": one.verdict,
                "reason": one.reason,
                "to_know": _TO_KNOW[one.claim.name],
                "unit": one.claim.unit,
                "figures": [_figure_as_object(figure) for figure in one.figures],
            }
            for one in judged
        ]
    }


def _figure_as_object(figure: Figure) -> dict[str, Any]:
    found = asdict(figure.found)
    return {
        **{name: getattr(figure.case, name) for name in CASE},
        "verdict": figure.verdict,
        "reason": figure.reason,
        "published": figure.published,
        "source": found["base"],
        "converted": found["other"],
        **{name: found[name] for name in ("change", "low", "high", "p_value")},
    }


def _line(claim: Claim, figure: Figure) -> tuple[str, ...]:
    found, unit = figure.found, "" if claim.unit == "ratio" else f" {claim.unit}"
    shown = units.ratio if claim.unit == "ratio" else _points
    here = shown(found.change)
    if found.low is not None and found.high is not None and found.low != found.high:
        here += f" ({shown(found.low)} to {shown(found.high)})"
    return (
        network_of(figure.case),
        _where(figure),
        shown(figure.published) + (unit if figure.published is not None else ""),
        here + (unit if found.change is not None else ""),
        WORDS[figure.verdict],
        units.literal(figure.reason),
    )


def _where(figure: Figure) -> str:
    case = figure.case
    if case.runtime is None:
        return conversion_of(case)
    batch = f", batch {case.batch_size}" if case.batch_size is not None else ""
    return units.literal(f"{conversion_of(case)} on {case.host}, {case.device}{batch}")


def _points(value: float | None) -> str:
    return units.UNKNOWN if value is None else f"{100 * value + 0.0:+.2f}"  # never -0.00
