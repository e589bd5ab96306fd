"""What a campaign says about the study's claims."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report import files
from orchestrator.report.html.curves import Curves
from orchestrator.results.claims import Judged, Verdict, judge
from orchestrator.results.schema import ArtifactSection, Campaign, CheckSection, Row
from orchestrator.results.scoring import Paired
from orchestrator.results.summary import measure
from tests.results import rows

Rows = Callable[[dict[str, Any], dict[str, Any]], Iterable[Row]]
"""Of a network, by the fields of its source and of its conversion."""

SOURCES: dict[str, dict[str, Any]] = {
    "keras": {"source_framework": "keras", **rows.SOURCE},
    "pytorch": {"source_framework": "pytorch", "format": "pt2", "runner": "pytorch-cpu", "runtime": "pytorch"},
}
FORMATS: dict[str, dict[str, Any]] = {
    "onnx": {},
    "coreml": {"format": "coreml", "runner": "coreml", "runtime": "coreml"},
    "evaluated": {"format": "coreml", "runner": "coreml-reference", "runtime": "coreml-reference"},
}


def _judged(claim: str, of_network: Rows, model: str = "lenet5", frameworks: Iterable[str] = SOURCES) -> Judged:
    """Of a campaign with that network of each framework."""
    format_ = claim.partition("-")[2]
    if format_ == "coreml" and not claim.startswith("time"):
        format_ = "evaluated"
    found: list[Row] = []
    for framework in frameworks:
        source = SOURCES[framework] | {"model": model}
        found += of_network(source, FORMATS[format_] | {"model": model, "source_framework": framework})
    return next(judged for judged in judge(measure(found)) if judged.claim.name == claim)


def _answers(right: int, agreeing: int, samples: int = 1000) -> Rows:
    """The source has 900 of 1,000 right; `right` and `agreeing` are of the conversion."""

    def checked(right: int, agreeing: int) -> dict[str, Any]:
        section = CheckSection(
            samples=samples,
            accuracy=right / samples,
            label_agreement=agreeing / samples,
            max_abs_error=0.0,
            mean_abs_error=0.0,
            batch_invariant=True,
            tolerance=1e-4,
        )
        return {"status": "ok", "check": section}

    return lambda source, converted: [
        rows.check(checked(samples * 9 // 10, samples), **source),
        rows.check(checked(right, agreeing), **converted),
    ]


def _sizes(converted_bytes: int) -> Rows:
    """The source has 1,000,000 bytes, and three times as many with its optimizer."""

    def made(size: int, **details: Any) -> dict[str, Any]:
        return {"status": "ok", "artifact_bytes": size, "artifact": ArtifactSection(details=details)}

    return lambda source, converted: [
        rows.artifact(made(1_000_000, bytes_with_optimizer=3_000_000), **source),
        rows.artifact(made(converted_bytes), **converted),
    ]


def _times(source_ns: int, converted_ns: int, trials: int = 5) -> Rows:
    """Beside those of another batch size, which say the contrary and are farther from the study's."""
    return lambda source, converted: [
        *rows.steady_trials(source_ns, trials, batch_size=64, **source),
        *rows.steady_trials(converted_ns, trials, seed=1, batch_size=64, **converted),
        *rows.steady_trials(converted_ns, trials, batch_size=1, **source),
        *rows.steady_trials(source_ns, trials, seed=1, batch_size=1, **converted),
    ]


def _attacks(source_fooled: int, fooled: int, inputs: int = 200) -> Rows:
    def fooled_of(count: int) -> list[bool]:
        return [index < count for index in range(inputs)]

    return lambda source, converted: [
        rows.check(**source),
        rows.check(**converted),
        rows.attack(fooled_of(source_fooled), fooled_of(fooled), **converted),
    ]


@pytest.mark.parametrize(
    ("claim", "of_network", "verdict"),
    [
        ("accuracy-onnx", _answers(900, 1000), Verdict.HOLDS),
        ("accuracy-onnx", _answers(850, 940), Verdict.DOES_NOT_HOLD),
        ("accuracy-onnx", _answers(45, 50, samples=50), Verdict.CANNOT_BE_SAID),
        ("accuracy-coreml", _answers(901, 999), Verdict.HOLDS),
        ("accuracy-coreml", _answers(850, 940), Verdict.DOES_NOT_HOLD),
        ("accuracy-coreml", _answers(895, 900), Verdict.CANNOT_BE_SAID),
        ("size-onnx", _sizes(900_000), Verdict.HOLDS),
        ("size-onnx", _sizes(990_000), Verdict.DOES_NOT_HOLD),
        ("size-coreml", _sizes(500_000), Verdict.HOLDS),
        ("size-coreml", _sizes(1_200_000), Verdict.DOES_NOT_HOLD),
        ("time-onnx", _times(80_000, 40_000), Verdict.HOLDS),
        ("time-onnx", _times(40_000, 80_000), Verdict.DOES_NOT_HOLD),
        ("time-onnx", _times(40_000, 40_000), Verdict.DOES_NOT_HOLD),
        ("time-onnx", _times(80_000, 79_000, trials=2), Verdict.CANNOT_BE_SAID),
        ("time-onnx", _times(80_000, 40_000, trials=1), Verdict.CANNOT_BE_SAID),
        ("time-coreml", _times(40_000, 80_000), Verdict.HOLDS),
        ("time-coreml", _times(80_000, 40_000), Verdict.DOES_NOT_HOLD),
        ("time-coreml", _times(79_000, 80_000, trials=2), Verdict.CANNOT_BE_SAID),
        ("robustness-onnx", _attacks(100, 100), Verdict.HOLDS),
        ("robustness-onnx", _attacks(100, 130), Verdict.DOES_NOT_HOLD),
        ("robustness-onnx", _attacks(10, 11, inputs=20), Verdict.CANNOT_BE_SAID),
        ("robustness-coreml", _attacks(100, 130), Verdict.HOLDS),
        ("robustness-coreml", _attacks(100, 100), Verdict.DOES_NOT_HOLD),
        ("robustness-coreml", _attacks(10, 11, inputs=20), Verdict.CANNOT_BE_SAID),
    ],
)
def test_a_claim_is_judged_by_what_the_figures_show(claim: str, of_network: Rows, verdict: Verdict) -> None:
    judged = _judged(claim, of_network)
    assert judged.verdict == verdict, judged
    assert judged.reason
    assert all(figure.reason for figure in judged.figures)


@pytest.mark.parametrize(
    ("claim", "of_network"),
    [
        ("accuracy-onnx", _answers(900, 1000)),
        ("size-onnx", _sizes(900_000)),
        ("time-onnx", _times(80_000, 40_000)),
        ("robustness-coreml", _attacks(100, 130)),
    ],
)
def test_one_framework_is_not_enough(claim: str, of_network: Rows) -> None:
    judged = _judged(claim, of_network, frameworks=["keras"])
    assert judged.verdict == Verdict.CANNOT_BE_SAID
    assert "none from pytorch" in judged.reason


@pytest.mark.parametrize("claim", ["size-coreml", "time-coreml", "accuracy-coreml", "robustness-coreml"])
def test_what_the_campaign_lacks_is_named(claim: str) -> None:
    (judged,) = [judged for judged in judge(measure([rows.check(**rows.SOURCE)])) if judged.claim.name == claim]
    assert judged.verdict == Verdict.CANNOT_BE_SAID
    assert judged.reason.startswith("it needs networks in Core ML")


def test_a_size_is_also_held_against_that_with_the_optimizer() -> None:
    judged = _judged("size-onnx", _sizes(990_000))
    assert {figure.found.change for figure in judged.figures} == {0.99}
    assert all("beside a source with its optimizer's state 0.33x" in figure.reason for figure in judged.figures)


def test_a_direction_is_no_claim_where_the_package_has_none() -> None:
    """Its times of Keras's LSTM differ by less than 1 %."""
    judged = _judged("time-onnx", _times(80_000, 40_000), model="lstm")
    assert {figure.case.source_framework: figure.verdict for figure in judged.figures} == {
        "keras": None,
        "pytorch": Verdict.HOLDS,
    }
    assert judged.verdict == Verdict.CANNOT_BE_SAID


def test_counts_of_changed_labels_are_paired_as_they_may_be_at_worst() -> None:
    assert Paired.of_counts(100, more_wrong=2, changed=5) == Paired(100, only_source=1, only_converted=3)
    assert Paired.of_counts(100, more_wrong=-4, changed=4) == Paired(100, only_source=4, only_converted=0)


def test_other_networks_are_not_judged(tmp_path: Path) -> None:
    campaign = Campaign(name="tried", created_at="2026-01-01T00:00:00", suite={}, inventory={}, versions={})
    for model, expected in (("mine", 0), ("lenet5", 8)):
        found = measure([rows.check(model=model, **rows.SOURCE), rows.check(model=model)])
        files.write(campaign, found, Curves(), tmp_path)
        assert len(json.loads((tmp_path / "claims.json").read_text())["claims"]) == expected
        assert ("study" in (tmp_path / "report.md").read_text()) is bool(expected)
        assert ("The study's claims" in (tmp_path / "report.html").read_text()) is bool(expected)
