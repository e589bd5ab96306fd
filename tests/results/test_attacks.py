"""What attacks say about a converted model beside its source, and how that is told."""

import json
import math
from dataclasses import asdict
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.errors import Stage, Symptom
from orchestrator.report.robustness import RobustnessReport
from orchestrator.results.attacks import summarise_attacks
from orchestrator.results.schema import Row
from orchestrator.results.scoring import Verdict
from orchestrator.results.summary import CaseSummary, summarise
from tests.results import rows

INPUTS = 200
NOBODY = [False] * INPUTS
HALF = [index < 100 for index in range(INPUTS)]
MORE = [index < 130 for index in range(INPUTS)]
NEAR = np.random.default_rng(0).uniform(0.4, 0.6, INPUTS)


def _case(*found: Row, **fields: Any) -> CaseSummary:
    """The conversion's case of a campaign in which source and conversion were attacked."""
    checks = (rows.check(**rows.SOURCE), rows.check(**fields))
    return next(case for case in summarise([*checks, *found]) if case.format != "keras")


def _printed(cases: list[CaseSummary], like_openja: bool = False) -> str:
    stream = StringIO()
    Console(file=stream, width=100).print(RobustnessReport(cases, like_openja))
    return stream.getvalue()


def _words(cases: list[CaseSummary], like_openja: bool = False) -> str:
    return " ".join(_printed(cases, like_openja).split())


@pytest.mark.parametrize(
    ("source", "converted", "verdict"),
    [
        (HALF, MORE, Verdict.MORE),
        (MORE, HALF, Verdict.LESS),
        (HALF, HALF, Verdict.NO_DIFFERENCE),
        (HALF, [index < 102 for index in range(INPUTS)], Verdict.NO_DIFFERENCE),
    ],
)
def test_a_model_is_more_vulnerable_when_the_same_inputs_fool_it_more_often(
    source: list[bool], converted: list[bool], verdict: Verdict
) -> None:
    case = _case(rows.attack(source, converted))
    assert case.robustness == verdict
    (attack,) = case.attacks
    assert attack.difference == (sum(converted) - sum(source)) / INPUTS
    assert attack.difference_low is not None
    assert attack.difference_high is not None
    assert attack.difference_low <= attack.difference <= attack.difference_high


def test_many_attacks_are_no_many_chances() -> None:
    """One of ten looks significant by itself; that is what chance does with ten."""
    odd = rows.attack(NOBODY, [index < 6 for index in range(INPUTS)], name="odd")
    assert _case(odd).robustness == Verdict.MORE
    same = [rows.attack(HALF, HALF, name=f"same-{number}") for number in range(9)]
    assert _case(odd, *same).robustness == Verdict.NO_DIFFERENCE


def test_opposite_findings_are_not_averaged() -> None:
    case = _case(rows.attack(HALF, MORE, name="one"), rows.attack(MORE, HALF, name="other"))
    assert case.robustness == Verdict.MIXED


def test_inputs_on_the_boundary_of_the_source_say_nothing_about_who_is_more_vulnerable() -> None:
    case = _case(rows.attack([True] * INPUTS, HALF, name="deepfool-l2", epsilon=None))
    assert case.robustness == Verdict.NOT_COMPARABLE
    assert case.attacks[0].difference == -0.5


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.9, Verdict.MORE), (1.1, Verdict.LESS), (1.0, Verdict.NO_DIFFERENCE)]
)
def test_a_model_that_is_fooled_nearer_by_is_more_vulnerable_in_its_own_right(factor: float, verdict: Verdict) -> None:
    own: dict[str, Any] = {"name": "hopskipjump-l2-runner", "epsilon": None, "against": "runner", "queries": 9}
    noise = np.random.default_rng(1).normal(0, 0.01, INPUTS)
    of_source = rows.attack([True] * INPUTS, [True] * INPUTS, NEAR.tolist(), **own, **rows.SOURCE)
    found = rows.attack(NOBODY, [True] * INPUTS, (NEAR * np.exp(noise) * factor).tolist(), **own)
    case = _case(of_source, found)
    assert case.robustness == verdict
    (attack,) = case.attacks
    assert attack.distance_ratio == pytest.approx(factor, rel=0.01)
    assert attack.queries == 9


def test_the_source_is_not_compared_with_itself() -> None:
    cases = summarise([rows.check(**rows.SOURCE), rows.attack(HALF, HALF, **rows.SOURCE)])
    assert [case.robustness for case in cases] == [None]
    assert "vulnerable:" not in _words(cases)


def test_attacks_hold_for_every_batch_size_and_go_into_json() -> None:
    cases = summarise([rows.check(), rows.attack(HALF, HALF), *rows.steady_trials(9_000, batch_size=8)])
    assert [len(case.attacks) for case in cases] == [1]
    assert (
        json.loads(json.dumps([asdict(case) for case in cases], allow_nan=False))[0]["attacks"][0]["scored"] == INPUTS
    )


def test_attacks_on_an_artifact_that_was_made_anew_do_not_count() -> None:
    old = rows.attack(HALF, MORE, artifact_sha256="cd" * 32)
    assert _case(old).attacks == ()


def test_the_report_says_it_in_a_sentence_with_its_interval() -> None:
    cases = summarise([rows.check(**rows.SOURCE), rows.attack(HALF, HALF, **rows.SOURCE), rows.check()])
    cases += [_case(rows.attack(HALF, MORE))]
    page = _printed(cases)
    assert max(map(len, page.splitlines())) <= 100
    line = next(line for line in page.splitlines() if line.startswith("  onnxruntime"))
    for figure in ("200 of 200", "50 %", "65 % (58.2-71.3)", "15 %", "0.1"):
        assert figure in line
    sentence = "lenet5 from keras as onnx on onnxruntime: more vulnerable than its source"
    assert f"{sentence} in one attack; most under fgsm-linf-0.1: +15.0 % of 200 inputs" in _words(cases)
    assert "wrong beside the source (+9.9 to +19.9 %), p = 1.9e-09" in _words(cases)


def test_what_failed_or_is_no_finding_is_told_below() -> None:
    died = rows.FAILURE | {"stage": Stage.INFER, "symptom": Symptom.CRASH, "message": "the worker [red]died"}
    wrong = {"stage": Stage.COMPARE, "symptom": Symptom.WRONG_OUTPUT, "message": "other classes one at a time"}
    section = rows.attack(HALF, HALF).robustness
    found = [
        rows.attack(HALF, HALF, name="pgd-linf-0.1", outcome=died),
        rows.attack(HALF, HALF, name="fgsm-linf-0.1", outcome={"status": "wrong", "robustness": section, **wrong}),
    ]
    case = _case(*found)
    assert case.robustness == Verdict.NOT_COMPARABLE
    words = _words([case])
    assert "FAILED lenet5 from keras as onnx on onnxruntime, pgd-linf-0.1: infer crash: the worker [red]died" in words
    assert "WRONG lenet5 from keras as onnx on onnxruntime, fgsm-linf-0.1: compare wrong-output: other classes" in words


def test_an_untrained_network_is_no_finding() -> None:
    details = {"test_samples": 360, "test_accuracy": 0.1, "majority_share": 0.1}
    source = rows.artifact(
        {"status": "ok", "artifact": {"details": details}}, format="keras", artifact_sha256="ef" * 32
    )
    cases = summarise([source, rows.check(), rows.attack(HALF, MORE)])
    assert "no finding, the network is no better than naming the most frequent class" in _words(cases)


def test_the_studys_mistake_can_be_made_again_and_is_called_one() -> None:
    core_ml: dict[str, Any] = {"format": "coreml", "runner": "coreml-reference", "runtime": "coreml-reference"}
    case = _case(rows.attack(NOBODY, NOBODY, **core_ml), **core_ml)
    assert case.robustness == Verdict.NO_DIFFERENCE
    words = _words([case], like_openja=True)
    assert "coreml-reference 0 % 90 %" in words
    assert "a mistake and no finding" in words
    assert "vulnerable" not in words


def test_what_is_no_number_is_unknown() -> None:
    """JSON has no words for it, and nothing may be left to score."""
    found = summarise_attacks([rows.attack([True], [True], label_agreement=math.nan, distances=[math.inf])], {})
    assert (found[0].label_agreement, found[0].distance, found[0].wrong_share) == (None, None, 1)
