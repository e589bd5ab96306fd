"""Environments of two campaigns, held against each other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.report import environment as report
from orchestrator.results.environment import Difference, differences, facts
from orchestrator.results.schema import Campaign

NAMES = st.sampled_from(["local/onnxruntime-cpu", "local/keras-cpu", "far/keras-cpu"])
FACTS = st.dictionaries(st.sampled_from(["kernel", "cpus", "turbo"]), st.none() | st.booleans() | st.integers(0, 3))
RUNNERS = st.dictionaries(NAMES, st.fixed_dictionaries({"environment": FACTS}))


def campaign(runners: dict[str, Any], **versions: str) -> Campaign:
    """Of no suite."""
    return Campaign(name="c", created_at="now", suite={}, inventory={}, versions=versions, runners=runners)


def runner(kernel: str, **more: Any) -> dict[str, Any]:
    """What a runner says of itself."""
    return {"versions": {"numpy": "2"}, "devices": ["cpu"], "environment": {"kernel": kernel, **more}}


def test_what_differs_alike_stands_together() -> None:
    first = campaign({"local/keras-cpu": runner("6.1"), "local/onnxruntime-cpu": runner("6.1")}, keras="3.15")
    second = campaign({"box/keras-cpu": runner("6.2"), "box/onnxruntime-cpu": runner("6.2", turbo=True)}, keras="3.16")
    assert differences(first, second) == [
        Difference("versions.keras", "3.15", "3.16", ("build host",)),
        Difference("environment.kernel", "6.1", "6.2", ("keras-cpu", "onnxruntime-cpu")),
        Difference("environment.turbo", None, True, ("onnxruntime-cpu",)),
    ]


def test_a_runner_of_one_campaign_only_is_one_difference() -> None:
    first, second = campaign({}), campaign({"local/keras-cpu": runner("6.1")})
    assert differences(first, second) == [Difference("took part", False, True, ("keras-cpu",))]


def test_with_several_hosts_a_runner_is_named_with_its_host() -> None:
    both = campaign({"near/keras-cpu": runner("6.1"), "far/keras-cpu": runner("6.1")})
    assert set(facts(both)) == {"build host", "near/keras-cpu", "far/keras-cpu"}


@given(RUNNERS, RUNNERS)
def test_order_only_swaps_the_sides_and_equal_is_empty(first: dict[str, Any], second: dict[str, Any]) -> None:
    ours, theirs = campaign(first), campaign(second)
    assert differences(ours, ours) == []
    swapped = {(found.fact, repr(found.second), repr(found.first)) for found in differences(theirs, ours)}
    assert {(found.fact, repr(found.first), repr(found.second)) for found in differences(ours, theirs)} == swapped


def test_tables_show_every_value() -> None:
    console = Console(width=100)
    found = differences(campaign({"a/b": runner("6.1", turbo=False)}), campaign({"a/b": runner("6.2", load=[0.5, 1])}))
    with console.capture() as captured:
        console.print(report.differences_as_table(found, "old", "new"))
        console.print(report.differences_as_table([], "old", "new"))
        console.print(report.as_table(facts(campaign({"a/b": runner("6.1")}, keras="3"))))
    shown = captured.get()
    for word in ("old", "new", "6.2", "no", "0.5, 1", "The environments are equal.", "versions.keras"):
        assert word in shown


def test_names_are_shown_as_they_are() -> None:
    console = Console(width=100)
    foreign = campaign({"a/[red]b\x1b[31m": runner("[bold]6.1")})
    with console.capture() as captured:
        console.print(report.as_table(facts(foreign)))
        console.print(report.differences_as_table(differences(foreign, campaign({})), "[red]old", "new"))
    shown = captured.get()
    assert "\x1b" not in shown
    for word in ("[red]b\N{REPLACEMENT CHARACTER}[31m", "[bold]6.1", "[red]old"):
        assert word in shown
