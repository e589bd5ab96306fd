"""What is measured and in which order."""

from collections import Counter
from itertools import pairwise

import pytest

from orchestrator.errors import UsageError
from orchestrator.inventory import Host, Inventory, RunnerEntry
from orchestrator.plan import make_plan, order_trials, resolve_threads
from orchestrator.suite import Suite, load_suite


def _inventory(*runners: str, hosts: int = 1) -> Inventory:
    entries = tuple(RunnerEntry(name=name) for name in runners)
    return Inventory(hosts=tuple(Host(name=f"host{number}", runners=entries) for number in range(hosts)))


def _suite(**changes: object) -> Suite:
    return Suite.model_validate(load_suite("quick").model_dump() | changes)


ALL = _inventory("onnxruntime-cpu", "keras-cpu", "pytorch-cpu", "coreml-reference")


def test_the_quick_suite_measures_each_source_and_its_onnx_and_checks_core_ml() -> None:
    plan = make_plan(_suite(), ALL)
    measured = {(case.artifact.source_framework, case.artifact.format, case.batch_size) for case in plan.cases}
    assert measured == {
        (framework, format_, batch_size)
        for framework, own in (("keras", "keras"), ("pytorch", "pt2"))
        for format_ in (own, "onnx")
        for batch_size in (1, 32)
    }
    checked = {(check.artifact.source_framework, check.artifact.format, check.runner) for check in plan.checks}
    assert {("keras", "coreml", "coreml-reference"), ("pytorch", "coreml", "coreml-reference")} <= checked


def test_a_source_comes_before_its_conversions_even_where_its_format_is_not_measured() -> None:
    plan = make_plan(_suite(formats=["onnx"]), ALL)
    assert [name.format for name in plan.artifacts] == ["keras", "onnx", "pt2", "onnx"]
    assert {case.artifact.format for case in plan.cases} == {"onnx"}


def test_a_format_is_planned_only_in_precisions_in_which_it_is_made() -> None:
    plan = make_plan(_suite(precisions=["float32", "float16"]), ALL)
    halves = {(name.source_framework, name.format) for name in plan.artifacts if name.precision == "float16"}
    assert halves == {(framework, format_) for framework in ("keras", "pytorch") for format_ in ("onnx", "coreml")}


def test_each_round_holds_every_case_once_and_memory_apart_from_time() -> None:
    suite = _suite(trials={"timing": 3, "memory": 1})
    cases = make_plan(suite, ALL).cases
    trials = order_trials(cases, suite)
    assert Counter((trial.case, trial.kind) for trial in trials) == Counter(
        {(case, kind): count for case in cases for kind, count in (("timing", 3), ("memory", 1))}
    )
    assert all(before.index <= after.index for before, after in pairwise(trials))


def test_the_order_is_shuffled_by_the_seed_alone() -> None:
    cases = make_plan(_suite(), ALL).cases
    assert order_trials(cases, _suite()) == order_trials(cases, _suite())
    assert order_trials(cases, _suite()) != order_trials(cases, _suite(seed=1))
    rounds = [[trial.case for trial in order_trials(cases, _suite()) if trial.index == index] for index in (1, 2)]
    assert rounds[0] != rounds[1]


def test_automatic_threads_are_the_processors_of_each_runner() -> None:
    suite = _suite(threads=["auto", 2], formats=["onnx"], batch_sizes=[1])
    cases = make_plan(suite, _inventory("onnxruntime-cpu", hosts=2)).cases
    resolved = resolve_threads(cases, {("host0", "onnxruntime-cpu"): 2, ("host1", "onnxruntime-cpu"): 8})
    found = {(case.host, case.threads) for case in resolved}
    assert found == {("host0", 2), ("host1", 8), ("host1", 2)}
    assert len(resolved) == len(set(resolved)) == 2 * len(found)


def test_an_inventory_that_executes_nothing_of_the_suite_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="no runner of the inventory executes"):
        make_plan(_suite(formats=["keras"]), _inventory("onnxruntime-cpu"))
