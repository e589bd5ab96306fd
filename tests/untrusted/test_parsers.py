"""Whatever comes in, each parser of ours gives a value or the error that it documents, in one line."""

import io
import json
import os
import random
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator import configuration
from orchestrator.client import _told_by_runner
from orchestrator.datasets import idx
from orchestrator.errors import CaseFailure, Stage, UsageError
from orchestrator.inspection import inspect
from orchestrator.inventory import Inventory
from orchestrator.results.schema import SCHEMA_VERSION, Campaign
from orchestrator.results.store import CAMPAIGN_FILE, ROWS_FILE, Store
from orchestrator.suite import Suite
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import wire
from runners import arrays
from runners.adapters import known
from runners.channel import Channel
from runners.failure import Failure
from tests.conftest import SEED
from tests.runners import models
from tests.torture.mutants import mutants

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SUITE: dict[str, Any] = {
    "name": "mine",
    "seed": 7,
    "models": [{"name": "lenet5", "source_frameworks": ["pytorch"], "data": "digits"}],
    "formats": ["pt2", "onnx"],
    "runtimes": ["pytorch", "onnxruntime"],
    "batch_sizes": [1, 8],
    "threads": [1, "auto"],
    "trials": {"timing": 10, "memory": 2},
    "attacks": [{"name": "fgsm", "epsilon": [0.03], "samples": 20}],
}
INVENTORY: dict[str, Any] = {
    "hosts": [
        {"name": "here", "runners": ["pytorch-cpu", {"name": "onnxruntime-cpu", "address": "unix:/run/a.sock"}]},
        {"name": "box", "docker": "ssh://bench@box", "runners": ["keras-cpu"]},
        {"name": "mac", "address": "mac.local:50051", "runners": ["coreml"]},
    ]
}


def _yielding(parse: Callable[[], object], *documented: type[Exception]) -> None:
    """It gives something, or raises what it documents, in one line."""
    try:
        parse()
    except documented as error:
        words = str(error)
    else:
        return
    assert words
    assert "\n" not in words


def _written(content: bytes, parse: Callable[[Path], object], *documented: type[Exception]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(content)
        _yielding(lambda: parse(file), *documented)


def _paths(value: Any, *above: Any) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(path for key, each in inner for path in _paths(each, *above, key))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = _with(value[path[0]], path[1:], new)
    return copied


@st.composite
def _changed(draw: st.DrawFn, valid: dict[str, Any]) -> str:
    """A valid document in which something is something else, as YAML."""
    return json.dumps(_with(valid, draw(st.sampled_from(_paths(valid))), draw(ANYTHING)))


@pytest.mark.parametrize(("kind", "valid"), [(Suite, SUITE), (Inventory, INVENTORY)])
def test_suite_and_inventory(kind: type[configuration.Configuration], valid: dict[str, Any]) -> None:
    @given(_changed(valid) | st.text() | st.binary())
    @example("a: &a [*a]")
    @example("a: !!bool maybe")
    @example("a: !!timestamp then")
    @example("[" * 5000)
    @example('"a\\nb": 1')
    @example('"\\ud800": 1')
    @example("a: " + "9" * 5000)
    def parse(content: str | bytes) -> None:
        encoded = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        _written(encoded, lambda file: configuration.load(file, kind), UsageError)

    parse()


@given(
    st.dictionaries(st.sampled_from(["schema_version", "key", "case", "stage"]), ANYTHING).map(json.dumps) | st.binary()
)
@example("[" * 100_000)
@example(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
def test_rows_and_campaigns(line: str | bytes) -> None:
    content = (line if isinstance(line, bytes) else line.encode()) + b"\n"

    def read(file: Path) -> None:
        (file.parent / ROWS_FILE).write_bytes(content)
        list(Store(file.parent, CAMPAIGN).rows())

    _written(content, read, UsageError)
    _written(content, lambda file: Store.open(file.rename(file.parent / CAMPAIGN_FILE).parent), UsageError)


CAMPAIGN = Campaign(name="c", created_at="now", suite={}, inventory={}, versions={}, runners={})
CHUNKS = st.builds(
    api.TensorChunk,
    name=st.text(max_size=3),
    dtype=st.sampled_from(["float32", "int64", "object", "f4,f4", "V8", "datetime64", "(2,)f4", "S0", ""])
    | st.text(max_size=8),
    shape=st.lists(st.integers(-2, 4) | st.sampled_from([2**62, -(2**63)]), max_size=3),
    data=st.binary(max_size=32),
    ends_tensor=st.booleans(),
    ends_batch=st.booleans(),
)


@given(st.lists(CHUNKS, max_size=4))
def test_tensors_in_chunks(chunks: list[api.TensorChunk]) -> None:
    _yielding(lambda: list(wire.join(chunks)), ValueError)


@given(
    st.builds(
        lambda *parts: api.Failure(stage=parts[0], symptom=parts[1], message=parts[2]).SerializeToString(),
        st.integers(-1, 99),
        st.integers(-1, 99),
        st.text(),
    )
    | st.binary()
)
def test_failures_from_a_runner_are_failures(serialized: bytes) -> None:
    assert isinstance(_told_by_runner(serialized, Stage.LOAD), CaseFailure)


@given(st.binary() | st.tuples(st.integers(0, 3), st.binary()).map(lambda parts: b"\0\0\x08%c" % parts[0] + parts[1]))
def test_idx(content: bytes) -> None:
    _yielding(lambda: idx.parse(content), ValueError)


@given(ANYTHING.map(json.dumps) | st.binary())
@example("[" * 100_000)
def test_known_behaviours(content: str | bytes) -> None:
    encoded = content if isinstance(content, bytes) else content.encode()
    _written(encoded, lambda file: known.load(file, "cpu", 1), Failure)


@given(
    st.binary(max_size=64)
    | st.tuples(ANYTHING, ANYTHING).map(lambda parts: json.dumps({"header": parts[0], "tensors": parts[1]}).encode())
)
@settings(max_examples=50)
def test_what_a_worker_sends(content: bytes) -> None:
    """Any exception of the channel becomes a failure in the server; what counts is that none takes its memory."""
    reading, writing = os.pipe()

    def send() -> None:
        os.write(writing, len(content).to_bytes(8, "little") + content)
        os.close(writing)

    sender = threading.Thread(target=send)
    sender.start()
    channel = Channel(reading)
    _read_one(channel)
    sender.join()
    channel.close()


def _read_one(channel: Channel) -> None:
    try:
        channel.receive()
    except Exception as error:
        assert not isinstance(error, MemoryError)  # noqa: PT017 - what else it may be is of no interest


NPZ = io.BytesIO()
np.savez(NPZ, allow_pickle=False, a=np.zeros((3, 4), np.float32), b=np.zeros((3, 2), np.int64))


def test_stored_inputs() -> None:
    for _, content in mutants(NPZ.getvalue(), f"{SEED}-npz", 200):
        _written(content, lambda file: arrays.read_batch(file, 2), Failure)
        _written(content, lambda file: list(arrays.read_batches(file, 2, None)), Failure)


@pytest.mark.parametrize("form", ["onnx", "pt2", "keras", "coreml"])
def test_what_is_inspected(form: str, tmp_path: Path) -> None:
    for _, content in mutants(models.dense(form, tmp_path), f"{SEED}-{form}", 60):
        _written(content, lambda file: inspect(path=str(file)), CaseFailure)


def test_ml_programs(tmp_path: Path) -> None:
    """Only one whose constants stand in the program itself: of a file of weights coremltools' own reader is tried."""
    from coremltools.proto import Model_pb2

    from runners.adapters import coreml_reference

    small, ones = np.ones((2, 2), np.float32), np.ones(2, np.float32)
    package = models.dense("coreml", tmp_path, weights=small, bias=ones)
    with zipfile.ZipFile(io.BytesIO(package)) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    (place,) = (name for name in files if name.endswith(".mlmodel"))

    def read(file: Path) -> None:
        model = coreml_reference.load(file, "cpu", 1)
        if [spec.shape for spec in model.inputs] == [(None, 2)]:
            model.bind({model.inputs[0].name: small}, False)()

    for number in range(150):
        model = Model_pb2.Model.FromString(files[place])
        rng = random.Random(f"{SEED}-{number}")  # noqa: S311 - nothing is kept secret with it
        for _ in range(1 + number % 3):
            _change(model, rng)
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as packed:
            for name, content in (files | {place: model.SerializeToString()}).items():
                packed.writestr(name, content)
        _written(changed.getvalue(), read, Failure)


def _change(message: Any, rng: random.Random) -> None:
    """A field somewhere in the message is gone, there twice, or another one."""
    holder, field, value = rng.choice(list(_fields(message)))
    others: dict[int, list[Any]] = {
        field.TYPE_STRING: ["", "x", "../../etc/passwd"],
        field.TYPE_INT64: [0, 1, 7, 2**31 - 1],
    }
    if hasattr(value, "extend") and rng.random() < 0.5:
        value.extend(list(value)[:1])
    elif field.type in others and not hasattr(value, "extend"):
        setattr(holder, field.name, rng.choice(others[field.type]))
    else:
        holder.ClearField(field.name)


def _fields(message: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every field that is set, with the message that has it."""
    for field, value in message.ListFields():
        is_map = field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry
        yield message, field, value
        inner = value.values() if is_map else value if hasattr(value, "extend") else [value]
        for each in inner:
            if hasattr(each, "ListFields"):
                yield from _fields(each)
