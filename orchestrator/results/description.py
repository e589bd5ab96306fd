"""`results/README.md` and the JSON schema beside it, made of `schema.py`:
`python -m orchestrator.results.description results`.
"""

import json
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator.results import schema
from orchestrator.results.store import CAMPAIGN_FILE, ROWS_FILE

PAGE_FILE = "README.md"
SCHEMA_FILE = "trials.schema.json"

_INTRODUCTION = f"""\
# Results

Each campaign is a folder here:

- `{CAMPAIGN_FILE}`: what was to be done, with what, where; replaced in one step.
- `{ROWS_FILE}`: one row per line for every artifact, check, attack and trial, appended and synced as it ends.
  Nothing is ever changed or dropped, failures included. A line that a crash cut off has no line feed at its end; it is
  no row.

Everything else is derived and can be made again: `portbench report DIR` prints the table and writes the report beside
the rows, `portbench report DIR --json` prints one object per case.

This is schema version {schema.SCHEMA_VERSION}, raised when a field changes its meaning; portbench refuses newer files.
[{SCHEMA_FILE}]({SCHEMA_FILE}) is the JSON schema of a line of `{ROWS_FILE}`, for other programs that read or write it.
It and this page are made of `orchestrator/results/schema.py` by `python -m orchestrator.results.description results`.

A field that does not apply is null. Times are durations in nanoseconds, sizes are bytes. NaN and infinity are the
strings `"NaN"`, `"Infinity"` and `"-Infinity"`. Rows of one case agree in `model`, `source_framework`, `format`,
`precision`, `host`, `runner`, `runtime`, `device`, `batch_size` and `threads`; check and attack rows hold for all batch
sizes and threads of their runner and device, an artifact row for everything made of it. A campaign may have measured a
case anew with another artifact, image, machine or isolation: only the rows that agree with the newest in
`artifact_sha256`, `image_digest`, `software`, `host_fingerprint` and `isolation` are summarised.
"""

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    (f"A row of `{ROWS_FILE}`", schema.Row),
    ("`artifact`", schema.ArtifactSection),
    ("`check`", schema.CheckSection),
    ("`robustness`", schema.AttackSection),
    ("`robustness.margins`", schema.Margin),
    ("`robustness.outcomes`", schema.Outcomes),
    ("`timing`", schema.TimingSection),
    ("`memory`", schema.MemorySection),
    ("`memory.phases`", schema.PhaseMemory),
    ("`memory.timeline`", schema.MemorySample),
    ("`placement`", schema.Placement),
    (f"`{CAMPAIGN_FILE}`", schema.Campaign),
)
_UNITS = {"_ns": "ns", "_bytes": "bytes"}
_NAMES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null"}


def markdown() -> str:
    """The whole page."""
    return "\n".join((_INTRODUCTION, *(_table(title, kind) for title, kind in _SECTIONS)))


def json_schema() -> str:
    """Of a row, JSON Schema 2020-12."""
    made = schema.Row.model_json_schema(schema_generator=_WithInfinity)
    return json.dumps({"$schema": _WithInfinity.schema_dialect} | made, indent=1) + "\n"


class _WithInfinity(GenerateJsonSchema):
    """Numbers may be the strings that stand for what JSON has no number for."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        number = super().float_schema(schema)
        return {"anyOf": [number, {"enum": ["NaN", "Infinity", "-Infinity"]}]}


def _table(title: str, kind: type[BaseModel]) -> str:
    lines = [f"## {title}", "", "| field | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for name, field in kind.model_fields.items():
        cells = (f"`{name}`", _type(field.annotation), _unit(name, field), str(field.description))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _unit(name: str, field: FieldInfo) -> str:
    if schema.Share in (field.annotation, *get_args(field.annotation)) or _has_unit(field):
        return "0 to 1"
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _has_unit(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and "unit" in extra


def _type(annotation: Any) -> str:
    """A type in words that need no Python."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    return _NAMES.get(annotation) or ", ".join(f"`{value}`" for value in annotation)


def _write(folder: Path) -> None:
    (folder / PAGE_FILE).write_text(markdown(), encoding="utf-8")
    (folder / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
