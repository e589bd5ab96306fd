"""portbench on the command line: parse, call, print; the only place that prints and picks an exit code.

Commands import what they need themselves, so that `--help` answers at once.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.errors import UsageError
from orchestrator.report.encoding import make_printable
from orchestrator.report.units import literal

if TYPE_CHECKING:
    from orchestrator.artifacts import Cache
    from orchestrator.explanation.cases import Found
    from orchestrator.inventory import Inventory
    from orchestrator.launch import Launcher
    from orchestrator.own.suites import Brought
    from orchestrator.results.pairs import Condition
    from orchestrator.suite import Suite
    from orchestrator.workplace import Workplace

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_WORSE = 3
EXIT_INTERRUPTED = 130
DEFAULT_SUITE = "quick"

app = typer.Typer(
    name="portbench",
    help="Measure what converting a deep-learning model does to its answers, speed, memory and size.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


certs = typer.Typer(help="Certificates by which runners and orchestrator know each other.", no_args_is_help=True)
app.add_typer(certs, name="certs")


class LauncherName(StrEnum):
    """What starts the runners."""

    AUTO = "auto"
    DOCKER = "docker"
    PROCESS = "process"


class ExportFormat(StrEnum):
    """What takes a campaign's figures."""

    MLFLOW = "mlflow"
    OPENMETRICS = "openmetrics"


SuiteArgument = Annotated[str, typer.Argument(help="A suite that comes with portbench, or a YAML file.")]
RunnersOption = Annotated[
    Path | None, typer.Option("--runners", help="Inventory of hosts and runners (YAML). Default: this machine's CPU.")
]
LauncherOption = Annotated[
    LauncherName, typer.Option(help="Containers, plain processes, or containers where a Docker engine answers.")
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="An .onnx, .keras or .pt2 file, an .mlpackage or a SavedModel folder, or package.module:function.",
        metavar="MODEL",
    ),
]
InputOption = Annotated[
    Path | None,
    typer.Option("--input", help="An .npz archive of inputs by name. Default: the function's, or made-up ones."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"portbench {version('portbench')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite that comes with portbench, or a YAML file.", show_default=DEFAULT_SUITE),
    ] = None,
    runners: RunnersOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the campaign; one that was cut off goes on. Default: results/SUITE-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a campaign that was cut off; it goes on with its suite and inventory.", metavar="DIR"
        ),
    ] = None,
    launcher: LauncherOption = LauncherName.AUTO,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="PORTBENCH_DATA", help="Folder of data sets: DIR/fashion-mnist/train-images-idx3-ubyte.gz and so on."
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            envvar="PORTBENCH_DASK",
            help="Dask scheduler whose workers train, convert and attack: tcp://HOST:PORT. Default: this machine.",
            metavar="ADDRESS",
        ),
    ] = None,
) -> None:
    """Convert the suite's models, ship them to the runners, measure, and print a table.

    Exit code 0: every case is ok. 1: some case failed or gave wrong answers. 2: a mistake in what was asked.
    """
    from orchestrator import campaign
    from orchestrator.artifacts import Cache
    from orchestrator.inventory import load_inventory
    from orchestrator.own.suites import look_at
    from orchestrator.suite import load_suite

    if data_dir and not data_dir.is_dir():
        raise UsageError(f"--data-dir {data_dir}: there is no such folder; name the one that holds mnist/ and so on")
    if resume is None:
        wanted = load_suite(suite or DEFAULT_SUITE)
        inventory = load_inventory(runners, wanted.runtimes)
    elif suite or runners or out:
        raise UsageError(
            f"--resume {resume} has its own suite, inventory and folder; leave out SUITE, --runners, --out"
        )
    else:
        wanted, inventory = campaign.resume(resume)
    _run(*look_at(wanted, Cache()), inventory, resume or out, launcher, data_dir, _workplace(dask))


@app.command()
def bench(
    model: ModelArgument,
    runtime: Annotated[str, typer.Option(help="Runtimes, with commas between. Default: all that fit.")] = "",
    device: Annotated[str, typer.Option(help="What executes it: cpu, cuda:0, ...")] = "cpu",
    batch: Annotated[str, typer.Option(help="Batch sizes, with commas between. Default: 1,8,32.")] = "",
    given: InputOption = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(help="NAME=SIZE of an axis that the model leaves open; may be repeated."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Precisions, with commas between.")] = "float32",
    runners: RunnersOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the campaign. Default: results/MODEL-TIME.")] = None,
    launcher: LauncherOption = LauncherName.AUTO,
) -> None:
    """Convert your model to what it can be converted to, measure it on every runner that fits, and print a table.

    Exit code 0: every case is ok. 1: some case failed or gave wrong answers. 2: a mistake in what was asked.
    """
    from orchestrator.artifacts import Cache
    from orchestrator.own import suites

    asked = suites.Asked(model, _names(runtime), device, _names(batch), given, axis or [], _names(precision), runners)
    _run(*suites.for_one(asked, Cache()), out, launcher, None, _workplace(None))


def _run(
    suite: "Suite",
    brought: "Brought",
    inventory: "Inventory",
    out: Path | None,
    launcher: LauncherName,
    data_dir: Path | None,
    place: "Workplace",
) -> None:
    """Executes a campaign, shows it, and exits with the code that it deserves."""
    from rich.console import Console

    from orchestrator import campaign
    from orchestrator.fleet import spread
    from orchestrator.plan import make_plan
    from orchestrator.progress import Narrator
    from orchestrator.results.lock import locked

    spread_out = spread(inventory)
    planned = make_plan(suite, spread_out)
    folder = out or campaign.default_folder(suite)
    with locked(folder):
        store = campaign.open_folder(suite, inventory, folder)
        started_by = _launcher(launcher, campaign.started_by(store))
        with _going_on(folder), Narrator(Console(stderr=True)) as narrator:
            campaign.run(planned, suite, spread_out, store, started_by, narrator, data_dir, place, brought)
    cases = _show(folder, folder)
    if any(case.status != "ok" or any(attack.status != "ok" for attack in case.attacks) for case in cases):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def plan(suite: SuiteArgument = DEFAULT_SUITE, runners: RunnersOption = None, as_json: JsonOption = False) -> None:
    """Show what `run` would measure, without doing anything."""
    from orchestrator.artifacts import Cache
    from orchestrator.fleet import spread
    from orchestrator.inventory import load_inventory
    from orchestrator.own.suites import look_at
    from orchestrator.plan import make_plan
    from orchestrator.report import plan as report
    from orchestrator.suite import load_suite

    wanted, _ = look_at(load_suite(suite), Cache())
    planned = make_plan(wanted, spread(load_inventory(runners, wanted.runtimes)))
    if as_json:
        _print_json(report.as_objects(planned, wanted))
    else:
        _print(report.as_table(planned, wanted))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a campaign.", metavar="DIR")],
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report's files. Default: the campaign's own.", metavar="DIR")
    ] = None,
    score_like_openja: Annotated[
        bool,
        typer.Option(
            help="Score attacks by the study's mistaken method, to see where its claim came from: no finding."
        ),
    ] = False,
) -> None:
    """Show the results of a campaign, finished or not, and write them as files for people and for programs."""
    from dataclasses import asdict

    from orchestrator.results.store import Store
    from orchestrator.results.summary import summarise

    if as_json:
        _print_json([asdict(case) for case in summarise(Store.open(folder).rows())])
    else:
        _show(folder, out or folder, score_like_openja)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a campaign.", metavar="DIR")],
    to: Annotated[ExportFormat, typer.Option("--format", help="MLflow's runs, or OpenMetrics text.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File of the text, folder of the runs. Default: DIR/openmetrics.txt, DIR/mlruns."),
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="What keeps MLflow's runs, instead of a folder.", metavar="URI")
    ] = None,
) -> None:
    """Write a campaign's figures for other tools: one run of MLflow or one set of OpenMetrics labels per case."""
    from orchestrator.report import mlflow, openmetrics
    from orchestrator.results.store import Store
    from orchestrator.results.summary import summarise

    if tracking_uri and (out or to is not ExportFormat.MLFLOW):
        raise UsageError("--tracking-uri is for --format mlflow, and instead of --out")
    store = Store.open(folder)
    cases = summarise(store.rows())
    if to is ExportFormat.MLFLOW:
        uri = tracking_uri or (out or folder / "mlruns").resolve().as_uri()
        typer.echo(f"Runs: {mlflow.log(store.campaign, cases, uri)} at {uri}")
    else:
        path = out or folder / "openmetrics.txt"
        openmetrics.write(store.campaign, cases, path)
        typer.echo(f"Export: {path}")


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(help="Folder of the campaign to compare with.", metavar="A")],
    other: Annotated[Path, typer.Argument(help="Folder of the campaign that is held against it.", metavar="B")],
    threshold: Annotated[str, typer.Option(help="Smallest change of time, memory or size that is called one.")] = "3%",
    across: Annotated[
        str,
        typer.Option(help="What is meant to differ, with commas between: host, image, isolation, threads, artifact."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say for every case whether B is slower or faster than A, bigger, less accurate, or cannot be compared and why.

    Exit code 0: nothing got worse. 2: a mistake in what was asked. 3: something got worse.
    """
    from orchestrator.report.comparison import ComparisonReport, as_object
    from orchestrator.results import comparison
    from orchestrator.results.store import Store
    from orchestrator.results.summary import measure

    least, meant = _share(threshold), _conditions(across)
    first, second = Store.open(base), Store.open(other)
    found = comparison.compare(measure(first.rows()), measure(second.rows()), least, meant)
    if not found.shared:
        raise UsageError(f"{base} and {other} have no case in common; 'portbench report' shows what each has")
    if as_json:
        _print_json(as_object(found, str(base), str(other)))
    else:
        _print(ComparisonReport(found, str(base), str(other)))
    if found.got_worse:
        raise typer.Exit(EXIT_WORSE)


@app.command()
def history(
    folders: Annotated[list[Path], typer.Argument(help="Folders of campaigns, in any order.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Show every case across campaigns, oldest first, and what changed in between."""
    from orchestrator.report import history as report
    from orchestrator.results import history as results
    from orchestrator.results.store import Store
    from orchestrator.results.summary import measure

    stores = [Store.open(folder) for folder in folders]
    cases = results.history(
        [
            results.MeasuredCampaign(store.folder.name, store.campaign.created_at, measure(store.rows()))
            for store in stores
        ]
    )
    _print_json(report.as_object(cases)) if as_json else _print(report.as_table(cases))


@app.command()
def inspect(
    artifact: Annotated[
        str, typer.Argument(help="A file, a Core ML package, or the SHA-256 of an artifact in the cache.")
    ],
) -> None:
    """Show what is in an artifact, without executing it: operators, inputs and outputs, versions; as JSON."""
    from orchestrator import isolated
    from orchestrator.artifacts import Cache
    from orchestrator.errors import CaseFailure, Stage

    path = artifact if Path(artifact).exists() else str(Cache().path(artifact))
    try:
        found = isolated.call("orchestrator.inspection:inspect", timeout_s=600, stage=Stage.LOAD, path=path)
    except CaseFailure as failure:
        raise UsageError(failure.message) from None
    _print_json({name: fact for name, fact in found.items() if name not in ("duration_ns", "peak_bytes")})


@app.command()
def convert(
    model: ModelArgument,
    to: Annotated[str, typer.Option(help="Formats, with commas between.")] = "onnx,coreml",
    precision: Annotated[str, typer.Option(help="Precisions, with commas between.")] = "float32",
    given: InputOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.", metavar="DIR")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Convert a model to other formats, each in a process of its own, and write the files.

    Exit code 0: all are there. 1: a conversion failed. 2: a mistake in what was asked.
    """
    from orchestrator import own
    from orchestrator.artifacts import Cache
    from orchestrator.errors import CaseFailure
    from orchestrator.own import conversions
    from orchestrator.report import conversions as report

    pairs = conversions.wanted(_names(to), _names(precision))
    reference, cache = own.parse(model), Cache()
    try:
        brought = own.bring(cache, reference)
    except CaseFailure as failure:
        raise UsageError(failure.message) from None
    found = list(conversions.convert_all(cache, brought, pairs, out, given))
    _print_json(report.as_objects(found)) if as_json else _print(report.as_table(found))
    if any(isinstance(each.result, CaseFailure) for each in found):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def verify(
    first: Annotated[str, typer.Argument(help="The model that is right, as for `convert`.", metavar="A")],
    second: Annotated[str, typer.Argument(help="The model that is held against it.", metavar="B")],
    given: InputOption = None,
    samples: Annotated[int, typer.Option(min=1, help="How many inputs are made up.")] = 32,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Largest error that agrees. Default: 1e-4, with float16 or int8 1e-2.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether two models give the same answers, output by output, asked of processes on this machine.

    Exit code 0: they agree. 1: they do not. 2: a mistake in what was asked.
    """
    from orchestrator import own, verification
    from orchestrator.artifacts import Cache
    from orchestrator.errors import CaseFailure
    from orchestrator.own import inputs
    from orchestrator.report import agreement as report

    references, cache = [own.parse(text) for text in (first, second)], Cache()
    try:
        ours, theirs = (own.bring(cache, reference) for reference in references)
        fed = inputs.prepare(cache, ours, given, samples, seed=0)
        found = verification.verify(cache, ours, theirs, fed)
    except CaseFailure as failure:
        raise UsageError(failure.message) from None
    if tolerance is None:
        tolerance = verification.usual_tolerance(ours, theirs)
    if as_json:
        _print_json(report.as_object(found, tolerance, fed.name))
    else:
        _print(report.as_table(found, tolerance, fed.name))
    if not all(report.agrees(each, tolerance) for each in found):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def explain(
    first: Annotated[str, typer.Argument(help="The source, as for `verify`; with --in, a case.", metavar="A|CASE")],
    second: Annotated[str | None, typer.Argument(help="Its conversion.", metavar="[B]")] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="Folder of a campaign. CASE: model/source framework/format/precision.")
    ] = None,
    given: InputOption = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Largest error that agrees. Default: as `verify`, or the suite's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the smallest input that shows it, an .npz archive.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the first value on the way from inputs to outputs that a conversion computes otherwise than its source.

    Exit code 0: the answers agree. 1: they do not. 2: a mistake in what was asked.
    """
    import numpy as np

    from orchestrator import explanation
    from orchestrator.artifacts import Cache
    from orchestrator.errors import CaseFailure
    from orchestrator.report import explanation as report

    cache = Cache()
    try:
        case = _to_explain(cache, first, second, folder, given)
        limit = case.tolerance if tolerance is None else tolerance
        found = explanation.explain(cache, case.source, case.converted, case.given, limit)
    except CaseFailure as failure:
        raise UsageError(failure.message) from None
    if out and found:
        with out.open("wb") as file:
            np.savez(file, allow_pickle=False, **found.smallest)
    if as_json:
        _print_json(report.as_object(found))
    elif found is None:
        _print(f"All answers agree within {limit:g}: there is nothing to explain.")
    else:
        _print(report.as_table(found))
    if found:
        raise typer.Exit(EXIT_SOME_FAILED)


def _to_explain(cache: "Cache", first: str, second: str | None, folder: Path | None, given: Path | None) -> "Found":
    """Raises UsageError, or CaseFailure of a model that cannot be had."""
    from orchestrator import own, verification
    from orchestrator.explanation import cases
    from orchestrator.own import inputs

    if (folder is None) == (second is None):
        raise UsageError("give two models, or a case and --in DIR")
    if folder is not None:
        if given:
            raise UsageError("--input: a case has its own inputs; leave it out, or give two models")
        return cases.find(cache, folder, first)
    ours, theirs = (own.bring(cache, own.parse(text)) for text in (first, str(second)))
    fed = inputs.prepare(cache, ours, given, 32, seed=0)
    return cases.Found(ours, theirs, fed, verification.usual_tolerance(ours, theirs))


@app.command()
def environment(
    folder: Annotated[Path, typer.Argument(help="Folder of a campaign.", metavar="DIR")],
    other: Annotated[
        Path | None, typer.Argument(help="Another one: only what differs is shown.", metavar="[OTHER]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a campaign ran on and with, or in what two campaigns' environments differ."""
    from orchestrator.report import environment as report
    from orchestrator.results.environment import differences, facts
    from orchestrator.results.store import Store

    campaign = Store.open(folder).campaign
    if other is None:
        known = facts(campaign)
        _print_json(known) if as_json else _print(report.as_table(known))
        return
    found = differences(campaign, Store.open(other).campaign)
    if as_json:
        _print_json(report.differences_as_objects(found))
    else:
        _print(report.differences_as_table(found, str(folder), str(other)))


@app.command()
def runners(
    runners: RunnersOption = None, launcher: LauncherOption = LauncherName.AUTO, as_json: JsonOption = False
) -> None:
    """Start or reach every runner of the inventory and show what it offers, or what is wrong."""
    from orchestrator.fleet import spread
    from orchestrator.inventory import load_inventory
    from orchestrator.report import offers
    from orchestrator.runtimes import RUNTIMES
    from orchestrator.survey import survey

    found = survey(spread(load_inventory(runners, RUNTIMES)), _launcher(launcher))
    if as_json:
        _print_json(offers.as_objects(found))
    else:
        _print(offers.as_table(found))
    if any(offer.problem for offer in found):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def doctor(
    runners: Annotated[
        Path | None, typer.Option("--runners", help="Inventory of hosts and runners (YAML), which are tried, too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at this machine: what stands in the way of a campaign or spoils its figures, and what to do about it.

    Exit code 0: nothing stands in the way; warnings do not count. 1: something does.
    """
    from orchestrator.doctor.checks import examine
    from orchestrator.report import doctor as report

    found = []
    for name, finding in examine(runners):
        found.append((name, finding))
        if not as_json:
            _print(report.as_row(name, finding))
    told = report.as_object(found)
    if as_json:
        _print_json(told)
    if not told["ok"]:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def selftest(launcher: LauncherOption = LauncherName.AUTO, as_json: JsonOption = False) -> None:
    """Let the harness measure itself on this machine: figure, bound and verdict of each check. Takes some minutes.

    Exit code 0: every figure is within its bound. 1: one is not, or could not be had.
    """
    from rich.console import Console

    from orchestrator.artifacts import Cache
    from orchestrator.progress import Narrator
    from orchestrator.report import selftest as report
    from orchestrator.selftest.run import run
    from orchestrator.selftest.settings import Settings
    from orchestrator.selftest.subjects import quick_model

    cache, started_by = Cache(), _launcher(launcher)
    with Narrator(Console(stderr=True)) as narrator:
        checks = run(started_by, lambda: quick_model(cache), narrator, Settings())
    if as_json:
        _print_json(report.as_object(checks))
    else:
        _print(report.as_table(checks))
    if not all(check.ok for check in checks):
        raise typer.Exit(EXIT_SOME_FAILED)


@certs.command()
def init() -> None:
    """Make the private authority by which runners and orchestrator know each other, and the orchestrator's certificate.

    It lies in ~/.config/portbench/certs, or where PORTBENCH_AUTHORITY says, and its key stays there.
    """
    from orchestrator.certificates import ORCHESTRATOR, Authority, default_folder

    folder = default_folder()
    _, issued = Authority.create(folder).issue([ORCHESTRATOR])
    typer.echo(
        f"{folder}: an authority and this orchestrator's certificate, valid until {issued.told.ends_at:%Y-%m-%d}"
    )
    typer.echo("Next, for each machine with runners: portbench certs issue HOST")


@certs.command()
def issue(
    names: Annotated[
        list[str],
        typer.Argument(help="Host names and IP addresses under which the runner is reached; or `orchestrator`."),
    ],
    days: Annotated[int, typer.Option(min=1, help="For how long it is valid.")] = 365,
) -> None:
    """Issue a runner's certificate, or renew it: a folder to copy to the runner, for its --certs."""
    from orchestrator.certificates import Authority, default_folder

    folder, issued = Authority(default_folder()).issue(names, days)
    typer.echo(f"{folder}: valid until {issued.told.ends_at:%Y-%m-%d} for {', '.join(names)}")


def _share(text: str) -> float:
    """What "3%", "3 %" and "0.03" stand for."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if "%" in text else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UsageError(f"--threshold {text}: write a share below 1, such as 3% or 0.03")
    return share


def _names(text: str) -> list[str]:
    """What stands between commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _conditions(text: str) -> "list[Condition]":
    from orchestrator.results.pairs import Condition

    names = _names(text)
    for name in names:
        if name not in set(Condition):
            raise UsageError(f"--across {name}: unknown; choose from {', '.join(Condition)}")
    return [Condition(name) for name in names]


def _launcher(name: LauncherName, so_far: str | None = None) -> "Launcher":
    """The one asked for; where that is any, the one that was used `so_far`."""
    from orchestrator.launch import choose_launcher

    wanted = LauncherName(so_far) if so_far and name is LauncherName.AUTO else name
    launcher, remark = choose_launcher(wanted.value)
    if remark:
        typer.echo(remark, err=True)
    return launcher


def _workplace(dask: str | None) -> "Workplace":
    from orchestrator.workplace import BUILD_HOST

    if dask is None:
        return BUILD_HOST
    from orchestrator.cluster import connect  # which takes a second

    return connect(dask)


def _show(folder: Path, out: Path, score_like_openja: bool = False) -> list[Any]:
    """Prints the table, writes the report's files into `out`, names them and what to type next."""
    from orchestrator.report import files
    from orchestrator.report.html.curves import Curves
    from orchestrator.report.next_command import next_command
    from orchestrator.report.plots.process import Drawing
    from orchestrator.report.robustness import RobustnessReport
    from orchestrator.report.table import table
    from orchestrator.results.store import Store
    from orchestrator.results.summary import measure

    store, curves = Store.open(folder), Curves()
    with Drawing() as drawing:
        measured = measure(curves.watch(store.rows()))
        cases = [case.summary for case in measured]
        _print(table(cases))
        _print(RobustnessReport(cases, score_like_openja))
        typer.echo(f"Results: {folder}")
        written = files.write(store.campaign, measured, curves, out, drawing)
    for path in written:
        typer.echo(f"Report: {path}")
    typer.echo(f"Next: {next_command(store)}")
    return cases


def _print(renderable: Any) -> None:
    from rich.console import Console

    Console().print(renderable)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def _going_on(folder: Path) -> Iterator[None]:
    """What ends this block early tells how the campaign in `folder` goes on."""
    try:
        yield
    except (UsageError, OSError, InterruptedByUserError) as error:
        error.add_note(f"what was measured is kept, 'portbench run --resume {folder}' goes on from there")
        raise


class InterruptedByUserError(BaseException):
    """A request to end; not a KeyboardInterrupt, which typer would answer itself."""


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Turns the first request to end into an exception, so that runners are stopped on the way out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)
    raise InterruptedByUserError


def _end_at_once(_signal: int, _frame: FrameType | None) -> NoReturn:
    """The second request: whatever was started ends with this process."""
    os._exit(EXIT_INTERRUPTED)


def main() -> None:
    """The entry point: every mistake of the user ends as one line and exit code 2."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    make_printable(sys.stdout)
    try:
        app()
    except (UsageError, OSError) as error:
        typer.echo(f"Error: {literal(_with_notes(str(error), error))}", err=True)
        sys.exit(EXIT_USAGE)
    except InterruptedByUserError as error:
        typer.echo(_with_notes("Interrupted", error), err=True)
        sys.exit(EXIT_INTERRUPTED)


def _with_notes(words: str, error: BaseException) -> str:
    return "; ".join((words, *getattr(error, "__notes__", ())))
