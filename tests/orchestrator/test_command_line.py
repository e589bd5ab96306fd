"""Mistakes on the command line: one line with a remedy, exit code 2, no traceback, nothing left behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator.results.schema import Campaign, Row
from orchestrator.results.store import Store
from tests.results import rows

SUITE = """\
name: tiny
models: [{name: lenet5, source_frameworks: [pytorch], data: digits, training: {epochs: 1}}]
formats: [onnx]
runtimes: [onnxruntime]
trials: {timing: 1, memory: 0}
stop_rule: {min_samples: 5, min_time_s: 0.01, min_undisturbed_samples: 0, max_time_s: 0.1, max_warmup_s: 0.1}
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all tests of this file."""
    return tmp_path_factory.mktemp("cache")


def portbench(*arguments: str, cache: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user would."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("portbench")), *arguments],
        env=os.environ | {"PORTBENCH_CACHE": str(cache), "COLUMNS": "100"} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _assert_refused(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
    for word in words:
        assert word in ended.stderr


def test_an_unknown_suite_is_refused(cache: Path) -> None:
    _assert_refused(portbench("run", "quik", cache=cache), "unknown suite 'quik'", "quick")


def test_an_output_folder_that_cannot_be_written_is_refused(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = portbench("run", "quick", "--out", str(tmp_path / "file" / "campaign"), cache=cache)
    _assert_refused(ended, str(tmp_path / "file" / "campaign"))


def test_a_data_folder_that_is_not_there_is_refused(cache: Path, tmp_path: Path) -> None:
    ended = portbench("run", "quick", "--data-dir", str(tmp_path / "none"), cache=cache)
    _assert_refused(ended, str(tmp_path / "none"), "no such folder")


def test_data_that_is_torn_costs_its_cases_only(cache: Path, tmp_path: Path) -> None:
    suite, folder, data = tmp_path / "two.yaml", tmp_path / "campaign", tmp_path / "data"
    torn = "{name: lenet5, source_frameworks: [keras], data: mnist}"
    suite.write_text(SUITE.replace("models: [", f"models: [{torn}, "))
    (data / "mnist").mkdir(parents=True)
    (data / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b torn")
    arguments = ("--out", str(folder), "--launcher", "process", "--data-dir", str(data))
    assert portbench("run", str(suite), *arguments, cache=cache).returncode == 1
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    failed = [row for row in rows if row["status"] == "failed"]
    assert {(row["source_framework"], row["stage"], row["symptom"]) for row in failed} == {
        ("keras", "train", "refused")
    }
    assert all("train-images-idx3-ubyte.gz" in row["message"] for row in failed)
    fed = {row["inputs_sha256"] for row in rows if row["status"] == "ok"}
    assert len(fed) == 1
    assert len(fed.pop()) == 64


def test_a_folder_that_holds_another_campaign_is_refused_and_kept(cache: Path, tmp_path: Path) -> None:
    suite, folder = tmp_path / "tiny.yaml", tmp_path / "campaign"
    suite.write_text(SUITE)
    assert portbench("run", str(suite), "--out", str(folder), "--launcher", "process", cache=cache).returncode == 0
    rows = (folder / "trials.jsonl").read_bytes()
    _assert_refused(portbench("run", "quick", "--out", str(folder), cache=cache), str(folder), "another suite", "--out")
    assert (folder / "trials.jsonl").read_bytes() == rows


def test_a_report_of_no_campaign_is_refused(cache: Path, tmp_path: Path) -> None:
    _assert_refused(portbench("report", str(tmp_path), cache=cache), str(tmp_path), "no campaign here")


def _campaign(folder: Path, written: Sequence[Row], created_at: str = "2026-01-01T00:00:00+00:00") -> str:
    store = Store.create(
        folder, Campaign(name="c", created_at=created_at, suite={}, inventory={}, versions={}, runners={})
    )
    for row in written:
        store.append(row)
    return str(folder)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """A campaign, and a younger one that is slower by a half."""
    checked = [rows.check(), rows.attack([False] * 40, [True] * 40), rows.memory(7)]
    base = _campaign(tmp_path / "base", [*checked, *rows.steady_trials(40_000)])
    slower = [*checked, *rows.steady_trials(60_000, seed=1)]
    return base, _campaign(tmp_path / "other", slower, "2026-02-01T00:00:00+00:00")


def test_a_slower_campaign_is_told_in_a_sentence_a_table_json_and_the_exit_code(
    cache: Path, two: tuple[str, str]
) -> None:
    ended = portbench("compare", *two, cache=cache)
    assert ended.returncode == 3, ended.stderr
    assert max(map(len, ended.stdout.splitlines())) <= 100
    words = " ".join(ended.stdout.split())
    assert "1 of 1 case is slower, 1.50x (lenet5 from keras, onnx/onnxruntime, batch 1)" in words
    figures = "status, memory, size, accuracy, agreement, max absolute error, mean absolute error, attacks"
    assert f"No difference is shown in {figures}." in words
    told = portbench("compare", *two, "--threshold", "60 %", "--json", cache=cache)
    assert told.returncode == 0
    (case,) = json.loads(told.stdout)["cases"]
    assert (case["model"], case["batch_size"], case["verdict"]) == ("lenet5", 1, "no-difference")
    assert case["ratio_low"] < case["ratio"] < case["ratio_high"]
    assert case["memory"]["verdict"] == case["attacks"]["fgsm-linf-0.1"]["verdict"] == "no-difference"


def test_what_is_meant_to_differ_is_in_the_heading_and_else_the_remedy(cache: Path, tmp_path: Path) -> None:
    ours = _campaign(tmp_path / "ours", rows.steady_trials(40_000))
    theirs = _campaign(tmp_path / "[red]theirs", rows.steady_trials(40_000, host_fingerprint="beef", host="box"))
    refused = portbench("compare", ours, theirs, cache=cache)
    assert refused.returncode == 0
    assert "None of 1 case can be compared in time" in refused.stdout
    assert "--across host" in refused.stdout
    asked = portbench("compare", ours, theirs, "--across", "host", cache=cache)
    assert ", across host;" in " ".join(asked.stdout.split())
    assert "[red]theirs" in "".join(asked.stdout.split())
    assert "no-difference" in asked.stdout


def test_a_report_ends_with_what_to_type_next_and_is_printed_on_any_terminal(cache: Path, two: tuple[str, str]) -> None:
    base, other = two
    for row in rows.steady_trials(80_000, **rows.SOURCE):
        Store.open(Path(base)).append(row)
    plain = portbench("report", base, cache=cache, PYTHONIOENCODING="ascii").stdout
    assert plain.isascii()
    assert "base ####" in plain
    assert "0.50x ##" in plain
    assert plain.splitlines()[-1] == f"Next: portbench environment {base}"
    told = portbench("report", other, cache=cache).stdout
    assert told.splitlines()[-1] == f"Next: portbench compare {base} {other}"


def test_an_export_is_named_and_a_missing_extra_told(cache: Path, two: tuple[str, str], tmp_path: Path) -> None:
    base, _ = two
    ended = portbench("export", base, "--format", "openmetrics", cache=cache)
    assert ended.stdout == f"Export: {base}/openmetrics.txt\n"
    assert 'portbench_inference_median_seconds{batch_size="1"' in Path(base, "openmetrics.txt").read_text()
    (tmp_path / "mlflow").mkdir()
    missing = "raise ModuleNotFoundError(\"No module named 'mlflow'\", name='mlflow')"
    (tmp_path / "mlflow" / "__init__.py").write_text(missing)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    _assert_refused(
        portbench("export", base, "--format", "mlflow", cache=cache, PYTHONPATH=path), "pip install mlflow-skinny"
    )
    uri = ("--tracking-uri", "http://127.0.0.1:9")
    _assert_refused(portbench("export", base, "--format", "openmetrics", *uri, cache=cache), "--format mlflow")
    _assert_refused(portbench("export", base, "--format", "mlflow", *uri, cache=cache), "127.0.0.1:9", "refused")


def test_history_is_by_age(cache: Path, two: tuple[str, str]) -> None:
    ended = portbench("history", *reversed(two), cache=cache)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.index("base") < ended.stdout.index("other")
    assert "1.50x" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 100
    told = json.loads(portbench("history", *two, "--json", cache=cache).stdout)
    assert [entry["campaign"] for entry in told["cases"][0]["campaigns"]] == ["base", "other"]


def test_campaigns_that_cannot_be_compared_are_refused(cache: Path, two: tuple[str, str], tmp_path: Path) -> None:
    base, _ = two
    (tmp_path / "empty").mkdir()
    for command in (("compare", base), ("history", base), ("export", "--format", "mlflow")):
        ended = portbench(*command, str(tmp_path / "empty"), cache=cache)
        _assert_refused(ended, str(tmp_path / "empty"), "no campaign here")
    strangers = _campaign(tmp_path / "strangers", rows.steady_trials(40_000, model="vgg"))
    _assert_refused(portbench("compare", base, strangers, cache=cache), "no case in common")
    told = portbench("history", base, strangers, cache=cache).stdout
    assert "lenet5 from keras" in told
    assert "vgg from keras" in told
    _assert_refused(portbench("compare", *two, "--across", "hots", cache=cache), "hots", "host, image")
    _assert_refused(portbench("compare", *two, "--threshold", "3", cache=cache), "--threshold 3", "3%")


def test_a_torn_row_is_skipped_and_a_newer_one_refused_by_every_command(cache: Path, two: tuple[str, str]) -> None:
    base, other = two
    commands = [("report", other), ("compare", base, other), ("history", base, other)]
    commands += [("export", other, "--format", "openmetrics")]
    file = Path(other) / "trials.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])  # cut off in its last row: the others count
    ended = [portbench(*command, cache=cache) for command in commands]
    assert [one.returncode for one in ended] == [0, 3, 0, 0]
    assert all("60." in one.stdout for one in ended[:3])
    file.write_bytes(whole.replace(b'"schema_version":1', b'"schema_version":2', 1))
    for command in commands:
        _assert_refused(portbench(*command, cache=cache), "newer portbench")


def test_names_of_a_foreign_campaign_are_shown_as_they_are(cache: Path, tmp_path: Path) -> None:
    name = "[red]<img src=x onerror=alert(1)>\x1b[31m"
    foreign = _campaign(tmp_path / "foreign", rows.steady_trials(40_000, model=name, host=name))
    shown = name.replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    for command in (("report", foreign), ("compare", foreign, foreign), ("history", foreign)):
        ended = portbench(*command, cache=cache)
        assert ended.returncode == 0
        assert "\x1b" not in ended.stdout
        assert shown in "".join(ended.stdout.split("\n"))
    assert portbench("export", foreign, "--format", "openmetrics", cache=cache).returncode == 0
    assert f'model="{shown}"' in Path(foreign, "openmetrics.txt").read_text()
    file = Path(foreign, "campaign.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: 1}))
    _assert_refused(portbench("environment", foreign, cache=cache), shown.split()[0], "not written by portbench")


def test_an_unreachable_runner_costs_its_cases_only(cache: Path, tmp_path: Path) -> None:
    suite, inventory, folder = tmp_path / "tiny.yaml", tmp_path / "runners.yaml", tmp_path / "campaign"
    suite.write_text(SUITE)
    inventory.write_text(
        "hosts:\n"
        "  - {name: here, runners: [onnxruntime-cpu]}\n"
        f"  - {{name: gone, address: 'unix:{tmp_path}/no.sock', runners: [onnxruntime-cpu]}}\n"
    )
    arguments = ("run", str(suite), "--runners", str(inventory), "--out", str(folder), "--launcher", "process")
    ended = portbench(*arguments, cache=cache)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "ship unavailable: the runner onnxruntime-cpu does not answer" in " ".join(ended.stdout.split())
    assert '"status":"ok"' in (folder / "trials.jsonl").read_text()
    assert f"Report: {folder}/report.html" in ended.stdout.splitlines()
    again = portbench("report", str(folder), "--out", str(tmp_path / "elsewhere"), cache=cache)
    assert again.returncode == 0, again.stderr
    names = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert names == ["claims.json", "plots", "report.html", "report.md", "summary.csv", "summary.parquet"]


def test_a_corrupt_artifact_in_the_cache_is_made_again(cache: Path, tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)
    for artifact in (cache / "artifacts").iterdir():
        artifact.chmod(0o644)
        artifact.write_bytes(b"not what it was")
    ended = portbench("run", str(suite), "--out", str(tmp_path / "campaign"), "--launcher", "process", cache=cache)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_interrupted_preparation_ends_at_once(tmp_path: Path) -> None:
    suite, folder = tmp_path / "tiny.yaml", tmp_path / "campaign"
    suite.write_text(SUITE.replace("epochs: 1", "epochs: 100000"))
    command = [str(Path(sys.executable).with_name("portbench")), "run", str(suite), "--out", str(folder)]
    environment = os.environ | {"PORTBENCH_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_until(lambda: any(tmp_path.glob("pb-*")))
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert (folder / "trials.jsonl").read_bytes() == b""
    assert not list(tmp_path.glob("pb-*"))


def test_an_interrupted_campaign_keeps_its_rows_and_others_out_and_goes_on(cache: Path, tmp_path: Path) -> None:
    suite, folder = tmp_path / "tiny.yaml", tmp_path / "campaign"
    suite.write_text(SUITE.replace("timing: 1", "timing: 20"))
    command = [str(Path(sys.executable).with_name("portbench")), "run", str(suite), "--out", str(folder)]
    environment = os.environ | {"PORTBENCH_CACHE": str(cache), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--launcher", "process"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_until(lambda: (rows := folder / "trials.jsonl").exists() and rows.read_bytes().count(b"\n") >= 5)
        _assert_refused(portbench("run", "--resume", str(folder), cache=cache), f"process {process.pid} on", "--out")
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"Interrupted; what was measured is kept, 'portbench run --resume {folder}' goes on" in errors
    assert "Traceback" not in errors
    kept = (folder / "trials.jsonl").read_text()
    assert '"failed"' not in kept
    assert not list(tmp_path.glob("pb-*"))
    assert sorted(path.name for path in folder.iterdir()) == ["campaign.json", "trials.jsonl"]
    suite.unlink()  # what it said is in the campaign's folder
    (folder / "trials.jsonl").write_text(kept + kept[:100])  # as a crash leaves a row
    assert portbench("run", "--resume", str(folder), cache=cache).returncode == 0
    rows = (folder / "trials.jsonl").read_text()
    assert rows.startswith(kept)
    found = [json.loads(line) for line in rows.splitlines()]
    assert len({row["key"] for row in found}) == len(found) == 2 + 1 + 20
    assert {row["isolation"] for row in found} == {None, "process"}


def test_what_is_resumed_says_itself_what_it_is(cache: Path, tmp_path: Path) -> None:
    _assert_refused(portbench("run", "--resume", str(tmp_path), cache=cache), str(tmp_path), "no campaign here")
    _assert_refused(portbench("run", "quick", "--resume", str(tmp_path), cache=cache), "leave out SUITE")
    _campaign(tmp_path / "older", [])
    _assert_refused(portbench("run", "--resume", str(tmp_path / "older"), cache=cache), "older", "suite.name")


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_help_names_every_command_and_the_exit_codes(cache: Path) -> None:
    listed = portbench("--help", cache=cache).stdout
    assert all(
        command in listed
        for command in ("run", "plan", "report", "compare", "history", "export", "runners", "--version")
    )
    assert "Exit code 0" in portbench("run", "--help", cache=cache).stdout
    assert portbench("--version", cache=cache).stdout.startswith("portbench 0.")
    assert portbench("measure", cache=cache).returncode == 2
