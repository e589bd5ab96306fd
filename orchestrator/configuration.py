"""YAML files -> frozen, validated objects; every mistake is one line with file, line, key and remedy."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import UsageError


def name_of_null(value: object) -> object:
    """YAML reads the name of the runtime `null` as nothing at all; for use before validation."""
    return "null" if value is None else value


TAG = "\N{SECTION SIGN}"
"""Before the names of a union's members, which are no keys of the file."""

_PATH = re.compile(r"((?:\w+(?:\[\d+\])*\.?)+): ")
_PART = re.compile(r"\w+")

Items = TypeVar("Items", bound=tuple[object, ...])


def one_of(choices: Callable[[], tuple[str, ...]], what: str) -> Callable[[str], str]:
    """A validator that knows the `choices` of a `what`, asked for when they are needed."""

    def check(value: str) -> str:
        if value not in choices():
            raise ValueError(f"unknown {what}; choose from {', '.join(choices())}")
        return value

    return check


def once(items: Items) -> Items:
    """A validator that refuses repetitions."""
    twice = next((item for index, item in enumerate(items) if item in items[:index]), None)
    if twice is not None:
        raise ValueError(f"{twice} stands twice; remove one")
    return items


class Configuration(BaseModel):
    """Base of everything that a user writes: immutable, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)


def load(path: Path, kind: type[ConfigurationT]) -> ConfigurationT:
    """Reads the YAML file `path` as a `kind`.

    Raises:
        UsageError: the file cannot be read, is not YAML, repeats a key or does not describe a `kind`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {_reason(error)}") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
        _refuse_repeated_keys(path, root)
    except UsageError:
        raise
    except Exception as error:  # of a tag that does not fit its value PyYAML raises whatever comes
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys and values, for example 'name: my-{kind.__name__.lower()}'")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(_first_mistake(path, root, error, kind)) from None


def validate(what: str, values: dict[str, object], kind: type[ConfigurationT]) -> ConfigurationT:
    """What options of the command line describe as a `kind`; `what` is named before a mistake.

    Raises:
        UsageError: they do not describe a `kind`.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{what}: {_mistake(_first(error), kind)}") from None


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """YAML forbids repeated keys, PyYAML keeps the last; raises ValueError where half a character stands."""
    if isinstance(node, yaml.MappingNode):
        _refuse_repetition(path, [key for key, _ in node.value])
        for pair in node.value:
            for inner in pair:
                _refuse_repeated_keys(path, inner)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item)
    elif isinstance(node, yaml.ScalarNode):
        node.value.encode()


def _refuse_repetition(path: Path, keys: list[yaml.Node]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key.value in seen:
            raise UsageError(f"{path}:{key.start_mark.line + 1}: the key {key.value!r} stands twice; remove one")
        seen.add(key.value)


def _first_mistake(path: Path, root: yaml.Node | None, error: ValidationError, kind: type[Configuration]) -> str:
    first = _first(error)
    return f"{path}:{_line(root, _location(first) or _named(_message(first)))}: {_mistake(first, kind)}"


def _first(error: ValidationError) -> ErrorDetails:
    """A misspelt key is also a missing one; the misspelling is what the user did."""
    return min(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")


def _location(mistake: ErrorDetails) -> tuple[int | str, ...]:
    return tuple(part for part in mistake["loc"] if not str(part).startswith(TAG))


def _message(mistake: ErrorDetails) -> str:
    return mistake["msg"].removeprefix("Value error, ")


def _mistake(mistake: ErrorDetails, kind: type[Configuration]) -> str:
    """What is wrong, after the key where it is known, in one line."""
    location, message = _location(mistake), _message(mistake)
    if mistake["type"] == "extra_forbidden":
        message = "unknown key" + _suggestion(str(location[-1]), kind)
    elif mistake["type"] == "missing":
        message = "this key is missing; add it"
    elif not isinstance(mistake["input"], dict | list):
        message += f" (found {mistake['input']!r})"
    key = _dotted(location)
    return " ".join((f"{key}: {message}" if key else message).split())


def _named(message: str) -> tuple[int | str, ...]:
    """The location that a validator of the whole has put before its message: "attacks[0].name: unknown" """
    path = _PATH.match(message)
    return tuple(int(part) if part.isdigit() else part for part in _PART.findall(path[1])) if path else ()


def _dotted(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _suggestion(key: str, kind: type[Configuration]) -> str:
    """The nearest key known anywhere in `kind`, or the keys that there are."""
    known = _known_keys(kind) - {key}  # it may be known elsewhere, which is of no help here
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(sorted(known))}"


def _known_keys(kind: type[BaseModel]) -> set[str]:
    schema = kind.model_json_schema()
    objects = [schema, *schema.get("$defs", {}).values()]
    return {key for description in objects for key in description.get("properties", {})}


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the deepest part of `location` that the file has, 1 for an empty file."""
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1
