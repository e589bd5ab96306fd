"""An own model in other formats, as files that people can take elsewhere."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator import preparation
from orchestrator.artifacts import Artifact, Cache
from orchestrator.conversion import CONVERSIONS
from orchestrator.conversion.reduction import CALIBRATION_SAMPLES
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.own import Own, inputs
from runner_api.v1 import archives

ENDINGS = {"coreml": ".mlpackage"}
"""Of files of a format, where it is not the format's name."""


@dataclass(frozen=True)
class Conversion:
    """One conversion: the `file` it became, or why it did not."""

    format: str
    precision: str
    result: Artifact | CaseFailure
    file: Path | None


def wanted(formats: list[str], precisions: list[str]) -> list[tuple[str, str]]:
    """Pairs of format and precision that there are.

    Raises:
        UsageError: an unknown one, or none at all.
    """
    for format_ in formats:
        if format_ not in CONVERSIONS:
            raise UsageError(f"--to {format_}: unknown; choose from {', '.join(CONVERSIONS)}")
    known = dict.fromkeys(precision for each in CONVERSIONS.values() for precision in each.precisions)
    for precision in precisions:
        if precision not in known:
            raise UsageError(f"--precision {precision}: unknown; choose from {', '.join(known)}")
    pairs = [
        (name, precision) for name in formats for precision in precisions if precision in CONVERSIONS[name].precisions
    ]
    if not pairs:
        raise UsageError(f"{', '.join(formats)} has no precision {', '.join(precisions)}; ask for float32 too")
    return pairs


def convert_all(
    cache: Cache, own: Own, pairs: list[tuple[str, str]], out: Path, given: Path | None
) -> Iterator[Conversion]:
    """Each conversion as it ends; files are written into the folder `out`, over those of that name.

    Where one needs inputs, they are had as `inputs.prepare` says of `given`.
    """
    out.mkdir(parents=True, exist_ok=True)
    for format_, precision in pairs:
        file = (
            out / f"{own.name}{'' if precision == 'float32' else f'-{precision}'}{ENDINGS.get(format_, f'.{format_}')}"
        )
        try:
            made = _converted(cache, own, format_, precision, given)
        except CaseFailure as failure:
            yield Conversion(format_, precision, failure, None)
        else:
            _write(made, file)
            yield Conversion(format_, precision, made, file)


def _converted(cache: Cache, own: Own, format_: str, precision: str, given: Path | None) -> Artifact:
    if own.source_framework not in CONVERSIONS[format_].distributions and format_ != own.artifact.format:
        sources = ", ".join(CONVERSIONS[format_].distributions)
        message = f"nothing converts {own.artifact.format} to {format_}; bring the model from {sources}"
        raise CaseFailure(Stage.CONVERT, Symptom.REFUSED, message)
    is_calibrated = precision in CONVERSIONS[format_].calibrated
    calibration = inputs.prepare(cache, own, given, CALIBRATION_SAMPLES, seed=0) if is_calibrated else None
    how = (own.source_framework, format_, precision)
    return preparation.convert(cache, own.artifact, *how, calibration=calibration)


def _write(made: Artifact, file: Path) -> None:
    """A Core ML package as the folder that Apple's tools open."""
    if made.format == "coreml":
        shutil.rmtree(file, ignore_errors=True)
        archives.unpack(made.path, file)
    else:
        shutil.copyfile(made.path, file)
