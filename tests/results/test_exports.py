"""What other programs read of a campaign, and the page in Markdown."""

import csv
import hashlib
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pyarrow import parquet

from orchestrator.errors import UsageError
from orchestrator.report import files, mlflow, openmetrics
from orchestrator.report.answer import answers, overall
from orchestrator.report.html.curves import Curves
from orchestrator.report.markdown import markdown
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary, Measured, measure, summarise
from tests.results import rows

CAMPAIGN = Campaign(name="tried", created_at="2026-01-01T00:00:00", suite={}, inventory={}, versions={})
MARKUP = "<img src=x onerror=alert(1)> | **bold**"


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    """A source and two conversions of it, one of which is wrong."""
    source = [rows.check(**rows.SOURCE), *rows.steady_trials(40_000, **rows.SOURCE), rows.memory(2**29, **rows.SOURCE)]
    converted = [rows.check(), *rows.steady_trials(10_000, seed=1), rows.memory(2**27)]
    converted += [rows.attack([True] * 20 + [False] * 20, [True] * 30 + [False] * 10)]
    return measure([*source, *converted, rows.row("check", rows.wrong(), precision="float16", batch_size=None)])


@pytest.fixture(scope="module")
def cases(measured: list[Measured]) -> list[CaseSummary]:
    return [case.summary for case in measured]


def test_every_case_is_in_every_file(measured: list[Measured], tmp_path: Path) -> None:
    cases = [case.summary for case in measured]
    files.write(CAMPAIGN, measured, Curves(), tmp_path)
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as file:
        flat = list(csv.DictReader(file))
    nested = parquet.read_table(tmp_path / "summary.parquet").to_pylist()
    medians = [case.median_ns for case in cases]
    assert [row["median_ns"] for row in nested] == medians
    assert [float(row["median_ns"]) if row["median_ns"] else None for row in flat] == medians
    assert "attacks" not in flat[0]
    assert [len(row["attacks"]) for row in nested] == [len(case.attacks) for case in cases]
    plots = [path.name for path in (tmp_path / "plots").iterdir()]
    assert plots
    assert all(f"](plots/{name})" in (tmp_path / "report.md").read_text(encoding="utf-8") for name in plots)
    _, of_cases = (tmp_path / "report.md").read_text(encoding="utf-8").split("## Cases")
    assert of_cases.count("\n| lenet5 from keras ") == len(cases)
    files.write(CAMPAIGN, [], Curves(), tmp_path)
    assert list((tmp_path / "plots").iterdir()) == []


def test_columns_do_not_depend_on_what_is_known(measured: list[Measured], tmp_path: Path) -> None:
    known, nothing = tmp_path / "known", tmp_path / "nothing"
    files.write(CAMPAIGN, measured, Curves(), known)
    files.write(CAMPAIGN, [], Curves(), nothing)
    schemas = [parquet.read_schema(folder / "summary.parquet") for folder in (known, nothing)]
    assert schemas[0].equals(schemas[1])


def test_prometheus_reads_every_case(cases: list[CaseSummary], tmp_path: Path) -> None:
    foreign = [replace(case, model=f'{MARKUP}"\\\r\n') for case in cases]
    openmetrics.write(CAMPAIGN, foreign, tmp_path / "metrics.txt")
    text = (tmp_path / "metrics.txt").read_text(encoding="utf-8")
    assert text.endswith("\n# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    median = families["portbench_inference_median_seconds"]
    assert (median.type, median.unit) == ("gauge", "seconds")
    timed = [case for case in cases if case.median_ns]
    assert [sample.value for sample in median.samples] == [pytest.approx((case.median_ns or 0) / 1e9) for case in timed]
    labels = {
        "campaign": "tried",
        "model": f'{MARKUP}"\\',
        "runtime": "onnxruntime",
        "device": "cpu",
        "batch_size": "1",
    }
    assert labels.items() <= median.samples[1].labels.items()
    outcomes = [sample.labels["portbench_status"] for sample in families["portbench_status"].samples if sample.value]
    assert outcomes == [case.status for case in cases]
    assert {sample.labels["attack"] for sample in families["portbench_attacked_wrong_ratio"].samples} == {
        "fgsm-linf-0.1"
    }


def test_mlflow_has_one_run_per_case_however_often_it_is_told(cases: list[CaseSummary], tmp_path: Path) -> None:
    foreign = [replace(case, message=MARKUP) for case in cases]
    for told in (cases, foreign):
        assert mlflow.log(CAMPAIGN, told, tmp_path.as_uri()) == len(cases)
    client = MlflowClient(tmp_path.as_uri())
    experiment = client.get_experiment_by_name("tried")
    assert experiment is not None
    runs = [run.data for run in client.search_runs([experiment.experiment_id])]
    by_format = {(run.params["format"], run.params["precision"]): run for run in runs}
    assert len(runs) == len(by_format) == len(cases)
    converted = next(case for case in cases if case.ratio_to_source is not None)
    run = by_format["onnx", "float32"]
    assert run.params["batch_size"] == "1"
    assert run.metrics["median_ns"] == converted.median_ns
    assert run.metrics["attack.fgsm-linf-0.1.wrong_share"] == 0.75
    assert (run.tags["portbench.status"], run.tags["portbench.message"]) == ("ok", MARKUP)


def test_names_are_text(cases: list[CaseSummary]) -> None:
    foreign = summarise([rows.check(model=MARKUP), *rows.steady_trials(10_000, model=MARKUP)])
    page = markdown(MARKUP, foreign, [])
    assert "<img" not in page.replace("\\<img", "")
    assert "**bold" not in page.replace("\\*", "")


def test_a_folder_that_cannot_be_written_is_refused(measured: list[Measured], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out"):
        files.write(CAMPAIGN, measured, Curves(), tmp_path / "file" / "report")


def test_sentences_say_what_the_figures_say(cases: list[CaseSummary]) -> None:
    (answer,) = answers(cases)
    told = {sentence.topic: sentence.text for sentence in reversed(answer.sentences)}
    converted = next(case for case in cases if case.ratio_to_source is not None)
    assert told["speed"].startswith("onnx/onnxruntime: faster; the source's time becomes 0.25x at batch 1 (0.2")
    assert converted.ratio_to_source == pytest.approx(0.25, rel=0.05)
    assert "134 MB at batch 1 (0.25x)" in told["memory"]
    assert "more vulnerable than its source in one attack" in told["robustness"]
    assert "1 of 3 cases wrong; onnx/onnxruntime float16: answers are NaN" in told["beware"]
    assert told["accuracy"].startswith("The source labels 97.5 % (95.3 to 98.7 %) of 360 of the test inputs rightly")


def test_a_difference_that_the_interval_does_not_show_is_none() -> None:
    source = rows.steady_trials(40_000, **rows.SOURCE)
    same = summarise([*source, *rows.steady_trials(40_000, seed=1)])
    assert any("1 without a difference shown" in sentence.text for sentence in overall(same))
    assert any("no difference shown" in sentence.text for answer in answers(same) for sentence in answer.sentences)


def test_nothing_is_said_of_nothing() -> None:
    assert not overall([])
    assert not answers([])
    assert "No results yet." in markdown("empty", [], [])


def test_the_page_carries_what_its_read_me_says() -> None:
    folder = resources.files("orchestrator.report.html").joinpath("vendor")
    told = re.findall(
        r"\| `(.+?)` \| .+ \| ([0-9a-f]{64}) \|", folder.joinpath("README.md").read_text(encoding="utf-8")
    )
    assert len(told) == 2
    for name, expected in told:
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == expected
