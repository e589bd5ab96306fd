"""The files of a report: made of the results at any time, never read again."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.report import claims as claims_report
from orchestrator.report import exports
from orchestrator.report.html.curves import Curves
from orchestrator.report.html.page import page
from orchestrator.report.markdown import markdown
from orchestrator.report.plots.content import plots
from orchestrator.results import claims
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary, Measured


def write(campaign: Campaign, measured: Sequence[Measured], curves: Curves, folder: Path) -> list[Path]:
    """Writes them into `folder`, which is made if need be, over those of an earlier report.

    Args:
        measured: from `summary.measure`.
        curves: has watched the rows of the cases.

    Returns:
        Their paths, the page first and the plots last.

    Raises:
        UsageError: the folder cannot be written.
    """
    names = ("report.html", "report.md", "summary.csv", "summary.parquet", "claims.json")
    html, text, table, columns, judged_as_json = paths = [folder / name for name in names]
    cases, judged = [case.summary for case in measured], claims.judge(measured)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _drawn(cases, curves, folder / "plots") as drawn:
            html.write_text(page(campaign, cases, curves, judged), encoding="utf-8")
            text.write_text(markdown(campaign.name, cases, judged), encoding="utf-8")
            exports.write_csv(cases, table)
            exports.write_parquet(cases, columns)
            judged_as_json.write_text(
                json.dumps(claims_report.as_object(judged), indent=1, allow_nan=False) + "\n", encoding="utf-8"
            )
    except OSError as error:
        raise UsageError(f"{folder}: no report can be written here: {error.strerror}; name another --out") from None
    return paths + drawn


@contextmanager
def _drawn(cases: Sequence[CaseSummary], curves: Curves, folder: Path) -> Iterator[list[Path]]:
    """Paths of the plots, which are drawn in another process meanwhile and are there at the end."""
    found = plots(cases, curves)
    if not found:
        yield []
        return
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-P", "-m", "orchestrator.report.plots.drawing", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as drawing:
        try:
            if drawing.stdin is not None:
                pickle.dump(found, drawing.stdin)
                drawing.stdin.close()
            yield [folder / f"{plot.name}.png" for plot in found]
        except BaseException:
            drawing.kill()
            raise
        said = drawing.stderr.read().decode(errors="replace") if drawing.stderr is not None else ""
    if drawing.returncode:
        last = next(iter(said.splitlines()[-1:]), f"it ended with {drawing.returncode}")
        raise UsageError(f"{folder}: no plots can be written here: {last}; name another --out")
