"""What a user's mistake in a suite or an inventory looks like: one line with file, line, key and remedy."""

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.inventory import load_inventory
from orchestrator.suite import Suite, load_suite

SUITE = """\
name: mine
models:
  - name: lenet5
    data: digits
runtimes: [onnxruntime]
batch_sizes: [1, 8]
"""


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("batch_sizes: [1, 8]", "batch_sizes: [1, 0]"), 6, ("batch_sizes[1]", "greater than or equal to 1", "0")),
        (("batch_sizes", "batch_size"), 6, ("batch_size", "did you mean 'batch_sizes'")),
        (("[onnxruntime]", "[onnxruntim]"), 5, ("runtimes[0]", "unknown runtime", "choose from onnxruntime")),
        (("data: digits", "data: digit"), 4, ("models[0].data", "unknown data set", "digits")),
        (("name: lenet5", "name: lenet6"), 3, ("models[0]", "no model 'lenet6'", "lenet5")),
        (("name: mine\n", "name: mine\nname: yours\n"), 2, ("'name' stands twice",)),
        (("runtimes: [onnxruntime]\n", ""), 1, ("runtimes", "missing")),
        (("runtimes: [onnxruntime]", "runtimes: []"), 5, ("runtimes", "at least 1 item")),
        (("data: digits", "data: digits\n    training: {epochs: 0}"), 5, ("models[0].training.epochs",)),
        (("data: digits", "data: digits\n    tolerance: {flaot32: 1}"), 5, ("models[0].tolerance.flaot32",)),
        (("data: digits", "data: digits\n    tolerance: {float32: .nan}"), 5, ("models[0].tolerance.float32",)),
        (("[1, 8]", "[1, 8, 1]"), 6, ("batch_sizes", "1 stands twice")),
        (("[1, 8]", "[5000000000]"), 6, ("batch_sizes[0]", "less than or equal to")),
        (("name: mine", "name: mine\ntrial_timeout_s: .inf"), 2, ("trial_timeout_s",)),
        (("name: mine", "name: mine\nseed: -1"), 2, ("seed",)),
    ],
)
def test_a_mistake_in_a_suite_names_file_line_key_and_remedy(
    tmp_path: Path, change: tuple[str, str], line: int, words: tuple[str, ...]
) -> None:
    message = _refusal(tmp_path / "mine.yaml", SUITE.replace(*change))
    assert message.startswith(f"{tmp_path}/mine.yaml:{line}:"), message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["quick", "study", "robustness"])
def test_a_suite_is_the_same_again_from_what_a_campaign_wrote_down(name: str) -> None:
    suite = load_suite(name)
    assert Suite.model_validate(suite.model_dump(mode="json")) == suite


def _refusal(path: Path, suite: str) -> str:
    path.write_text(suite)
    with pytest.raises(UsageError) as raised:
        load_suite(str(path))
    message = str(raised.value)
    assert "\n" not in message
    return message


ATTACKED = """\
name: mine
models:
  - name: lenet5
    data: digits
  - name: gru
    source_frameworks: [pytorch]
    data: reviews
runtimes: [onnxruntime]
attacks:
  - {name: fgsm, epsilon: [0.1]}
"""
FGSM = "{name: fgsm, epsilon: [0.1]}"
HOTFLIP = "{name: hotflip, words: 3}"
GRU = "  - name: gru\n    source_frameworks: [pytorch]\n    data: reviews\n"


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("fgsm", "fgms"), 10, ("attacks[0].name", "unknown attack", "choose from fgsm, pgd", "'fgms'")),
        (("[0.1]", "[0.1, 0]"), 10, ("attacks[0].epsilon[1]", "greater than 0", "0")),
        (("[0.1]", "[1.5]"), 10, ("attacks[0].epsilon[0]", "less than or equal to 1", "1.5")),
        (("[0.1]", "[0.1, 0.1]"), 10, ("attacks[0].epsilon", "0.1 stands twice; remove one")),
        ((", epsilon: [0.1]", ""), 10, ("attacks[0]", "'fgsm' needs epsilon", "for example [0.03, 0.1]")),
        (("fgsm", "deepfool"), 10, ("attacks[0]", "'deepfool' has no epsilon; remove")),
        (("[0.1]", "[0.1], words: 3"), 10, ("attacks[0]", "'fgsm' has no words; remove")),
        (("[0.1]", "[0.1], iterations: 3"), 10, ("attacks[0]", "'fgsm' has no iterations; remove")),
        (("[0.1]", "[0.1], norm: l1"), 10, ("attacks[0].norm", "'linf' or 'l2'", "'l1'")),
        ((FGSM, "{name: deepfool, norm: linf}"), 10, ("attacks[0]", "does not know the norm 'linf'", "choose from l2")),
        (("[0.1]", "[0.1], samples: 0"), 10, ("attacks[0].samples", "greater than or equal to 1")),
        (("[0.1]", "[0.1], epsilons: [0.1]"), 10, ("attacks[0].epsilons", "did you mean 'epsilon'")),
        pytest.param(
            ("[0.1]", "[0.1], models: [gru]"),
            10,
            ("attacks[0].models", "take images", "choose from lenet5", "'gru'"),
        ),
        pytest.param(
            ("[0.1]", "[0.1], models: [vgg16]"),
            10,
            ("attacks[0].models", "choose from lenet5", "'vgg16'"),
        ),
        (("[0.1]", "[0.1], models: []"), 10, ("attacks[0].models", "at least 1 item")),
        (("[0.1]", "[0.1], against: [runner]"), 10, ("attacks[0]", "'fgsm' needs gradients", "against: [source]")),
        ((FGSM, "{name: hotflip}"), 10, ("attacks[0]", "'hotflip' needs words", "for example 3")),
        pytest.param(
            (f"{GRU}runtimes: [onnxruntime]\nattacks:\n  - {FGSM}", f"runtimes: [keras]\nattacks: [{HOTFLIP}]"),
            6,
            ("attacks[0].name", "'hotflip' is for models of this suite that take tokens", "choose another attack"),
        ),
        ((FGSM, f"{FGSM}\n  - {FGSM}"), 9, ("attacks: fgsm-linf-0.1 on lenet5 stands twice; remove one",)),
    ],
)
def test_a_mistake_in_an_attack_names_file_line_key_and_choices(
    tmp_path: Path, change: tuple[str, str], line: int, words: tuple[str, ...]
) -> None:
    assert change[0] in ATTACKED
    message = _refusal(tmp_path / "mine.yaml", ATTACKED.replace(*change))
    assert message.startswith(f"{tmp_path}/mine.yaml:{line}:"), message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "content", ["", "- a\n- b\n", "name: [", "just words", "\x00", "name: !!python/object:os.system {}\n"]
)
def test_what_is_no_suite_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"mine\.yaml") as raised:
        load_suite(str(path))
    assert "\n" not in str(raised.value)


def test_an_unknown_suite_lists_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown suite 'quik'; choose from .*quick"):
        load_suite("quik")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hosts: [{name: a, runners: [keras-cpu, keras-cpu]}]", "'a' names the runner 'keras-cpu' twice"),
        ("hosts: [{name: a, runners: [keras-cpu]}, {name: a, runners: [pytorch-cpu]}]", "'a' stands twice"),
        ("hosts: [{name: a, runners: [keras-gpu9]}]", "unknown runner; choose from"),
        ("hosts: [{name: a, address: h:1, runners: [keras-cpu, pytorch-cpu]}]", "give each runner its own"),
        ("hosts: [{name: a, runers: [keras-cpu]}]", "did you mean 'runners'"),
        ("hosts: []", "at least 1 item"),
    ],
)
def test_a_mistake_in_an_inventory_is_one_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "runners.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as raised:
        load_inventory(path, ("keras",))
    assert words in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_an_inventory_this_machine_has_the_runners_of_the_suite() -> None:
    (host,) = load_inventory(None, ("keras", "onnxruntime")).hosts
    assert {entry.name for entry in host.entries()} == {"keras-cpu", "onnxruntime-cpu"}


def test_the_null_runner_can_be_named_as_yaml_spells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runners.yaml"
    path.write_text("hosts: [{name: a, runners: [null]}]")
    assert load_inventory(path, ()).hosts[0].runners[0].name == "null"
    path.write_text(SUITE.replace("[onnxruntime]", "[null]"))
    assert load_suite(str(path)).runtimes == ("null",)


def test_an_address_of_a_host_is_that_of_its_only_runner(tmp_path: Path) -> None:
    path = tmp_path / "runners.yaml"
    path.write_text("hosts: [{name: a, address: 'localhost:1', plaintext: true, runners: [keras-cpu]}]")
    (entry,) = load_inventory(path, ()).hosts[0].entries()
    assert (entry.address, entry.plaintext) == ("localhost:1", True)
