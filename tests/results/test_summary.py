import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from orchestrator.errors import Stage, Symptom
from orchestrator.results.schema import ArtifactSection, Row
from orchestrator.results.summary import CaseSummary, summarise
from tests.results import rows

PROMISED = """
    model source_framework format precision runtime device batch_size threads isolation host artifact_sha256
    artifact_bytes accuracy label_agreement max_abs_error load_ns first_ns median_ns median_low_ns median_high_ns
    median_as_seen_ns undisturbed_share samples trials stable peak_bytes status stage symptom message
"""


def _one(*written: Row) -> CaseSummary:
    (summary,) = summarise(written)
    return summary


def test_promised_keys_come_first_and_in_order() -> None:
    promised = PROMISED.split()
    assert [field.name for field in fields(CaseSummary)][: len(promised)] == promised


def test_the_device_s_memory_is_the_middle_of_the_trials_that_tell_it() -> None:
    def trial(index: int, delta: int, peak: int | None) -> Row:
        row = rows.memory(80, trial=index, device="cuda:0")
        assert row.memory is not None
        told = row.memory.model_copy(update={"device_delta_bytes": delta, "device_peak_bytes": peak})
        return row.model_copy(update={"memory": told})

    case = _one(trial(0, 700, None), trial(1, 900, 40), trial(2, 800, 20))
    assert (case.device_delta_bytes, case.device_peak_bytes) == (800, 30)
    case = _one(rows.memory(80))
    assert (case.device_delta_bytes, case.device_peak_bytes) == (None, None)


def test_healthy_case_has_all_its_figures() -> None:
    peaks = [rows.memory(10, 80, 70, trial=0), rows.memory(10, 100, trial=1), rows.memory(20, 60, trial=2)]
    case = _one(rows.artifact(), rows.check(), *rows.steady_trials(40_000), *peaks)
    assert (case.runtime, case.batch_size, case.isolation) == ("onnxruntime", 1, "docker")
    assert (case.accuracy, case.label_agreement, case.max_abs_error) == (0.975, 1.0, 1e-7)
    assert (case.load_ns, case.cached_load_ns, case.first_ns) == (12_000_000, 3_000_000, 1_500_000)
    assert case.median_ns is not None
    assert case.median_ns == pytest.approx(40_000, rel=0.01)
    assert case.median_low_ns is not None
    assert case.median_high_ns is not None
    assert case.median_low_ns < case.median_ns < case.median_high_ns
    assert case.throughput_per_s == pytest.approx(1e9 / case.median_ns)
    assert (case.samples, case.trials, case.undisturbed_share) == (800, 5, 1.0)
    assert (case.stable, case.peak_bytes, case.memory_trials) == (True, 80, 3)
    assert (case.status, case.stage, case.symptom, case.message) == ("ok", None, None, None)
    json.dumps(asdict(case), allow_nan=False)


def test_interference_is_taken_out_by_the_best_of_the_whole_campaign() -> None:
    """A trial without a quiet moment looks undisturbed to itself; the other case's references tell better."""
    busy = [True, False] * 10
    slow = [180 if disturbed else 100 for disturbed in busy for _ in range(8)]
    halves = [rows.timing(slow, busy=[True, True, *busy[2:]], trial=trial, batch_size=1) for trial in range(3)]
    quiet = rows.steady_trials(50_000, batch_size=32)
    disturbed, undisturbed = summarise([*halves, *quiet])
    assert disturbed.undisturbed_share == 0.0
    assert (disturbed.median_basis, disturbed.stable) == ("as-seen", False)
    assert disturbed.unstable_reason is not None
    assert "0 of 3 trials had enough undisturbed samples" in disturbed.unstable_reason
    assert (undisturbed.median_basis, undisturbed.stable) == ("undisturbed", True)


def test_both_medians_are_told() -> None:
    busy = [True] * 12 + [False] * 8
    values = [180] * 13 * 8 + [100] * 7 * 8
    case = _one(*(rows.timing(values, busy=busy, trial=trial) for trial in range(3)))
    assert (case.median_ns, case.median_basis) == (100, "undisturbed")
    assert case.median_as_seen_ns == 180
    assert case.undisturbed_share == pytest.approx(7 / 20)


def test_other_hosts_references_do_not_count() -> None:
    here = rows.steady_trials(40_000, host="here", host_fingerprint="1")
    there = rows.timing([100] * 160, busy=[True] * 20, host="there", host_fingerprint="2")
    of_here, of_there = summarise([*here, there])
    assert (of_here.undisturbed_share, of_there.undisturbed_share) == (1.0, 1.0)


def test_a_slower_interpreter_on_the_same_host_is_no_neighbour() -> None:
    slow = rows.timing([100] * 160, busy=[True] * 20, **rows.SOURCE)
    written = [
        *(row.model_copy(update={"versions": {"python": "3.11"}}) for row in rows.steady_trials(40_000)),
        slow.model_copy(update={"versions": {"python": "3.14"}}),
    ]
    assert [case.undisturbed_share for case in summarise(written)] == [1.0, 1.0]


def test_ratio_compares_with_the_source_runtime_at_the_same_batch() -> None:
    source = rows.steady_trials(80_000, seed=1, **rows.SOURCE)
    elsewhere = rows.steady_trials(10_000, seed=2, batch_size=32, **rows.SOURCE)
    cases = summarise([*rows.steady_trials(40_000), *source, *elsewhere])
    ratios = {(case.format, case.batch_size): case.ratio_to_source for case in cases}
    assert ratios == {("keras", 1): None, ("keras", 32): None, ("onnx", 1): pytest.approx(0.5, rel=0.01)}
    assert [case.format for case in cases] == ["keras", "keras", "onnx"]


def test_case_fails_when_all_trials_of_a_kind_fail() -> None:
    case = _one(*rows.steady_trials(40_000), rows.row("memory", rows.FAILURE))
    assert (case.status, case.stage, case.symptom) == ("failed", Stage.MEASURE, Symptom.TIMEOUT)
    assert case.message == "ended after 1 s"
    assert case.median_ns is not None


def test_single_failed_trial_is_mentioned() -> None:
    case = _one(*rows.steady_trials(40_000), rows.row("timing", rows.FAILURE, trial=5), rows.memory(1))
    assert (case.status, case.stage, case.trials) == ("ok", None, 5)
    assert case.message == "1 of 6 timing trials failed (measure timeout: ended after 1 s)"


def test_wrong_answers_are_measured_and_said() -> None:
    case = _one(rows.check(rows.wrong()), *rows.steady_trials(40_000))
    assert (case.status, case.stage, case.symptom) == ("wrong", Stage.COMPARE, Symptom.WRONG_OUTPUT)
    assert case.message == "answers are NaN"
    assert case.median_ns is not None
    assert (case.max_abs_error, case.mean_abs_error) == (None, None)
    json.dumps(asdict(case), allow_nan=False)


def test_failure_outranks_wrong_answers() -> None:
    case = _one(rows.check(rows.wrong()), rows.row("timing", rows.FAILURE))
    assert (case.status, case.symptom) == ("failed", Symptom.TIMEOUT)


def test_check_holds_for_all_batches_of_its_runner_only() -> None:
    batches = [row for batch in (1, 32) for row in rows.steady_trials(40_000, batch_size=batch)]
    other = rows.steady_trials(40_000, runner="onnxruntime-cuda", device="cuda:0")
    cases = summarise([rows.check(), *batches, *other])
    assert {(case.device, case.batch_size): case.accuracy for case in cases} == {
        ("cpu", 1): 0.975,
        ("cpu", 32): 0.975,
        ("cuda:0", 1): None,
    }


def test_runner_that_only_answers_has_a_case_without_figures() -> None:
    case = _one(rows.artifact(format="coreml"), rows.check(format="coreml", runtime="coreml-reference"))
    assert (case.runtime, case.batch_size, case.accuracy, case.status) == ("coreml-reference", None, 0.975, "ok")
    assert case.message is not None
    assert "Core ML itself executes on macOS only" in case.message
    assert (case.median_ns, case.stable, case.peak_bytes) == (None, None, None)


def test_failed_check_without_trials_is_a_failed_case() -> None:
    assert _one(rows.check(rows.FAILURE)).status == "failed"


def test_artifact_that_no_runner_executes_is_said_so() -> None:
    case = _one(rows.artifact(format="coreml"))
    assert (case.runtime, case.status, case.artifact_bytes) == (None, "ok", 241_664)
    assert case.message is not None
    assert "no runner" in case.message


def test_artifact_that_could_not_be_made_is_failed_once() -> None:
    failure = rows.FAILURE | {"stage": Stage.CONVERT, "symptom": Symptom.CRASH}
    conversion = rows.artifact(failure, artifact_sha256=None)
    assert (_one(conversion).status, _one(conversion).stage) == ("failed", Stage.CONVERT)
    of_trial = rows.row("timing", failure, artifact_sha256=None)
    assert _one(conversion, of_trial).runtime == "onnxruntime"


def test_last_row_of_a_key_counts() -> None:
    case = _one(rows.row("timing", rows.FAILURE, trial=0), *rows.steady_trials(40_000), rows.memory(1))
    assert (case.status, case.message, case.trials) == ("ok", None, 5)


@pytest.mark.parametrize(
    "other",
    [
        {"image_digest": "sha256:new"},
        {"artifact_sha256": "cd" * 32},
        {"isolation": "process"},
        {"host_fingerprint": "1"},
    ],
)
def test_what_was_measured_anew_is_not_pooled_with_the_old(other: dict[str, Any]) -> None:
    old = [rows.check(rows.wrong()), *rows.steady_trials(40_000), rows.memory(7)]
    new = [rows.check(**other), *rows.steady_trials(80_000, trials=3, **other)]
    case = _one(*old, *new)
    assert (case.trials, case.memory_trials, case.status) == (3, 0, "ok")
    assert case.median_ns == pytest.approx(80_000, rel=0.01)
    assert {name: getattr(case, name) for name in other} == other


def test_trial_repeated_under_its_key_is_the_newest() -> None:
    first = rows.timing([100] * 160, image_digest="sha256:first")
    second = rows.timing([200] * 160, image_digest="sha256:second")
    assert _one(first, second, first).image_digest == "sha256:first"


def test_source_measured_on_another_machine_is_no_baseline() -> None:
    source = rows.steady_trials(80_000, host_fingerprint="replaced", **rows.SOURCE)
    assert [case.ratio_to_source for case in summarise([*source, *rows.steady_trials(40_000)])] == [None, None]


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("failed_first", [True, False])
def test_runner_that_was_not_reached_in_one_of_the_runs_leaves_no_trace(threads: int, failed_first: bool) -> None:
    unreached = {"host_fingerprint": None, "isolation": None}
    failed = [
        rows.row("check", rows.FAILURE, **unreached, batch_size=None, threads=None),
        rows.row("timing", rows.FAILURE, **unreached, threads=threads),
        rows.row("memory", rows.FAILURE, **unreached, threads=threads),
    ]
    reached = [rows.check(), *rows.steady_trials(40_000), rows.memory(7)]
    assert summarise(failed + reached if failed_first else reached + failed) == summarise(reached)


def test_runner_that_only_answers_and_was_not_reached_at_first_is_ok() -> None:
    unreached = rows.check(rows.FAILURE, host_fingerprint=None, isolation=None)
    assert (_one(unreached).status, _one(unreached, rows.check()).status) == ("failed", "ok")
    assert _one(rows.check(), unreached).status == "ok"


def test_case_whose_runner_was_never_reached_is_failed_beside_those_that_were() -> None:
    unreached = rows.row("timing", rows.FAILURE, host_fingerprint=None, threads=0, batch_size=32)
    cases = summarise([*rows.steady_trials(40_000), unreached])
    assert {case.batch_size: case.status for case in cases} == {1: "ok", 32: "failed"}


def test_unsettled_trials_make_a_case_unstable() -> None:
    trials = rows.steady_trials(40_000)
    section = trials[0].timing
    assert section is not None
    cut_off = section.model_copy(update={"stable": False, "unmet": ("min_samples",), "reason": "min_samples not met"})
    case = _one(trials[0].model_copy(update={"timing": cut_off}), *trials[1:])
    assert (case.stable, case.unstable_reason) == (False, "1 of 5 trials: min_samples not met")


def test_nothing_measured_yet() -> None:
    assert summarise([]) == []


def _made(test_accuracy: float, **details: Any) -> tuple[Row, Row]:
    """A source's row and that of its conversion."""
    facts = {"test_accuracy": test_accuracy, "test_samples": 400, "majority_share": 0.5, **details}
    source = {"status": "ok", "artifact": ArtifactSection(details=facts)}
    conversion = {"status": "ok", "artifact": ArtifactSection(details={"conversion_ns": 7, "peak_bytes": 8})}
    return rows.artifact(source, format="keras", artifact_sha256="cd" * 32), rows.artifact(conversion)


def test_a_case_tells_how_its_artifact_was_made() -> None:
    made = _made(0.9, epochs=2.5, trained_s=60.0, recipe={"epochs": 50}, bytes_with_optimizer=9)
    case = next(case for case in summarise([*made, rows.check()]) if case.format == "onnx")
    assert (case.trained, case.trained_s, case.epochs, case.planned_epochs) == (True, 60.0, 2.5, 50)
    assert (case.conversion_ns, case.conversion_peak_bytes, case.bytes_with_optimizer) == (7, 8, 9)
    assert case.accuracy == 0.975


@pytest.mark.parametrize(("test_accuracy", "trained"), [(0.5, False), (0.54, False), (0.58, True)])
def test_the_accuracy_of_a_network_that_learnt_nothing_is_no_finding(test_accuracy: float, trained: bool) -> None:
    case = next(case for case in summarise([*_made(test_accuracy), rows.check()]) if case.format == "onnx")
    assert case.trained is trained
    assert (case.accuracy is None) is not trained
    assert case.label_agreement == 1.0
