"""Calls a function of the user's that gives a model, and stores what it gave; runs in a process of its own."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator import inspection
from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.isolated import failing_at

MOST_SAMPLES = 1000
"""Taken from a data set."""


def build(*, function: str, folder: str, target: str, inputs: str) -> dict[str, JSON]:
    """Calls `function` with `folder` on the module path; writes the model to `target`, its inputs to `inputs`.

    It returns a Keras model, a torch module or an ONNX model, alone or in a tuple with what it takes: an array or a
    tensor, a tuple or a list of them in the order of the model's inputs, a mapping by their names, or a data set, an
    iterable that gives (inputs, labels) batch by batch. Samples stand along the first axis.

    Raises:
        CaseFailure: (train) it cannot be imported, raises, or gives something else; (export) it cannot be stored.
    """
    sys.path.insert(0, folder)
    given = _function(function)()
    model, examples = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    arrays, labels = (None, None) if examples is None else _arrays(examples)
    with failing_at(Stage.EXPORT):
        facts = _store(model, arrays, Path(target))
    if arrays is not None:
        names = [each["name"] for each in facts["inputs"]]
        _write(Path(inputs), arrays, names, labels)
    return facts


def _function(text: str) -> Callable[[], Any]:
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _refused(
            f"it cannot be imported: {type(error).__name__}: {error}; is its folder the current one?"
        ) from error
    if not callable(found):
        raise _refused(f"it is a {type(found).__name__}; name a function that returns a model")
    function: Callable[[], Any] = found
    return function


def _store(model: Any, arrays: Any, target: Path) -> dict[str, Any]:
    kind = next((format_ for format_, is_one in _KINDS.items() if is_one(model)), None)
    if kind is None:
        raise _refused(
            f"the function gave a {type(model).__name__}; it must return a Keras model, a torch.nn.Module or an ONNX "
            "ModelProto, alone or in a tuple with its inputs"
        )
    facts = _STORES[kind](model, arrays, target)
    return {**facts, **inspection.signature(target)}


def _is_keras(model: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def _is_torch(model: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _is_onnx(model: Any) -> bool:
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(model, onnx.ModelProto)


def _store_keras(model: Any, arrays: Any, target: Path) -> dict[str, JSON]:
    from orchestrator.zoo import keras_source

    if not model.built and arrays is not None:
        model(arrays if not isinstance(arrays, list) or len(arrays) > 1 else arrays[0])
    keras_source.store(model, target)
    return {}


def _store_torch(model: Any, arrays: Any, target: Path) -> dict[str, JSON]:
    import torch

    from orchestrator.zoo import pytorch_source

    if arrays is None:
        raise _refused("a torch module says nothing of what it takes; return (model, example inputs)")
    ordered = _in_order(model, arrays) if isinstance(arrays, dict) else arrays
    # At least two samples: of an axis of length 1 PyTorch thinks that it is always 1.
    examples = tuple(torch.from_numpy(np.resize(array, (2, *array.shape[1:]))) for array in ordered)
    return pytorch_source.export(model.eval(), examples, target)


def _in_order(model: Any, arrays: dict[str, Any]) -> list[Any]:
    """Inputs by name as the module's `forward` takes them one after the other."""
    names = list(inspect.signature(model.forward).parameters)[: len(arrays)]
    if set(names) != set(arrays):
        raise _refused(f"forward takes first {', '.join(names)}, given are {', '.join(arrays)}; give what comes first")
    return [arrays[name] for name in names]


def _store_onnx(model: Any, arrays: Any, target: Path) -> dict[str, JSON]:
    del arrays
    target.write_bytes(model.SerializeToString(deterministic=True))
    return {}


_KINDS = {"keras": _is_keras, "pt2": _is_torch, "onnx": _is_onnx}
_STORES = {"keras": _store_keras, "pt2": _store_torch, "onnx": _store_onnx}


def _arrays(examples: Any) -> tuple[Any, Any]:
    """Inputs as a list or, by name, a dictionary of arrays, and labels where a data set has them."""
    if isinstance(examples, Mapping):
        return {name: _array(value) for name, value in examples.items()}, None
    if isinstance(examples, list | tuple):
        return [_array(value) for value in examples], None
    if hasattr(examples, "__array__") or hasattr(examples, "numpy"):
        return [_array(examples)], None
    return _of_data_set(examples)


def _of_data_set(data: Any) -> tuple[Any, Any]:
    batches, count = [], 0
    for inputs, labels in islice(iter(data), MOST_SAMPLES):
        arrays, _ = _arrays(inputs)
        batches.append((arrays, _array(labels)))
        count += len(batches[-1][1])
        if count >= MOST_SAMPLES:
            break
    if not batches:
        raise _refused("the data set is empty; return at least one batch of (inputs, labels)")
    first = batches[0][0]
    keys = list(first) if isinstance(first, dict) else range(len(first))
    joined = {key: np.concatenate([arrays[key] for arrays, _ in batches])[:MOST_SAMPLES] for key in keys}
    labels = np.concatenate([labels for _, labels in batches])[:MOST_SAMPLES]
    return (joined if isinstance(first, dict) else list(joined.values())), labels


def _array(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value)


def _write(path: Path, arrays: Any, names: list[str], labels: Any) -> None:
    if not isinstance(arrays, dict):
        if len(arrays) != len(names):
            raise _refused(f"the model takes {len(names)} inputs ({', '.join(names)}), the function gave {len(arrays)}")
        arrays = dict(zip(names, arrays, strict=True))
    with path.open("wb") as file:
        np.savez(file, **arrays, **({} if labels is None else {"labels": labels}))


def _refused(message: str) -> CaseFailure:
    return CaseFailure(Stage.TRAIN, Symptom.REFUSED, " ".join(message.split())[:600])
