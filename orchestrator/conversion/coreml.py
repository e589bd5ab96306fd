"""To a Core ML ML Program by coremltools, packed into one archive."""

import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.artifacts import JSON, pack_directory
from orchestrator.conversion import telling_unsupported_operators
from orchestrator.inspection import coreml as inspection
from orchestrator.inspection import savedmodel

_POWERS_OF_TWO = {2**exponent for exponent in range(10)}
_OF_THE_STUDY = {1, 5, 10, 50, 100, 128, 150, 200, 250, 300, 350, 400, 450, 500}
BATCH_SIZES = tuple(sorted(_POWERS_OF_TWO | _OF_THE_STUDY))
"""Packages take these, one by one: in a range all but one size would be kept off the neural engine."""

_UNKNOWN = re.compile(r"(PyTorch convert function|Conversion) for (TF )?op '[^']*' not implemented")
_UNNEEDED = {
    "keras": ("torch", "sklearn"),
    "pytorch": ("tensorflow", "sklearn"),
    "tensorflow": ("torch", "sklearn"),
}
"""coremltools imports every framework that it finds, which takes longer than the conversion."""


def convert(*, source_framework: str, source: str, target: str, precision: str) -> dict[str, JSON]:
    """Writes `target`, a packed .mlpackage with `BATCH_SIZES` to choose from; one output is `output_0` in float32.

    It computes, and stores weights, in `precision`; of int8 are the weights only, and it computes in float32. A network
    with which the converter cannot do all batch sizes gets a batch of 1, and the facts say why.

    Raises:
        CaseFailure: an operator that coremltools does not know.
    """
    for name in _UNNEEDED[source_framework]:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    import coremltools as ct

    options = {
        "convert_to": "mlprogram",
        "minimum_deployment_target": ct.target.macOS13,
        "compute_precision": ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32,
        "skip_model_load": True,
        "pass_pipeline": _passes(),
    }
    with telling_unsupported_operators(_UNKNOWN):
        package, conversion_ns, reasons = _with_most_batches(partial(_FROM[source_framework], source, options))
    if precision == "int8":
        package = _with_small_weights(package)
    specification = _normalised(package.get_spec())
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.mlpackage"
        ct.models.MLModel(specification, weights_dir=package.weights_dir, skip_model_load=True).save(str(saved))
        _fix_manifest(saved)
        _fix_specification(saved, type(specification))
        pack_directory(saved, Path(target))
    return {
        "conversion_ns": conversion_ns,
        **reasons,
        **inspection.of_specification(specification),
    }


def _with_small_weights(package: Any) -> Any:
    """8 bits for each weight of a tensor with more than 2,048 of them, by its channel's largest."""
    import coremltools.optimize.coreml as optimize

    config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
    return optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=config))


def _with_most_batches(converted: Callable[[Sequence[int]], tuple[Any, int]]) -> tuple[Any, int, dict[str, JSON]]:
    """What `converted` makes for all batch sizes, or else for one, and then why."""
    try:
        return *converted(BATCH_SIZES), {}
    except Exception as error:  # converters raise what they like
        reason = " ".join(f"{type(error).__name__}: {error}".split())
    return *converted([1]), {"fixed_batch_because": reason}


def _passes() -> Any:
    """Without the one that writes a bias or a scale as a batch normalisation of variance 1.

    coremltools 9.0 adds its default epsilon of 1e-5 to that variance, so that what the layer gives comes out 5e-6 too
    small; ten layers of a VGG answer 3e-4 beside their source.
    """
    import coremltools as ct

    passes = ct.PassPipeline.DEFAULT
    passes.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    return passes


def _from_keras(source: str, options: dict[str, Any], batch_sizes: Sequence[int]) -> tuple[Any, int]:
    """The package, and how long the converter itself took in nanoseconds."""
    import coremltools as ct
    import tensorflow as tf

    from orchestrator.zoo import keras_source

    model = keras_source.load(source)
    batch = batch_sizes[0] if len(batch_sizes) == 1 else None
    signature = [tf.TensorSpec((batch, *given.shape[1:]), given.dtype, name=given.name) for given in model.inputs]
    with keras_source.inlining(), _loops_without_bound():
        function = tf.function(keras_source.call(model)).get_concrete_function(*signature)
    inputs = _inputs([(given.name, given.shape, given.dtype.as_numpy_dtype) for given in signature], batch_sizes)
    outputs = _outputs_of(function)
    begin_ns = time.perf_counter_ns()
    package = ct.convert([function], source="tensorflow", inputs=inputs, outputs=outputs, **options)
    return package, time.perf_counter_ns() - begin_ns


def _from_savedmodel(source: str, options: dict[str, Any], batch_sizes: Sequence[int]) -> tuple[Any, int]:
    """The same of the signature that a SavedModel serves."""
    import coremltools as ct
    import tensorflow as tf

    with savedmodel.unpacked(Path(source)) as folder:
        model = tf.saved_model.load(folder)  # which holds the function's variables
        served = model.signatures[savedmodel.SERVED]
        named = sorted(served.structured_input_signature[1].items())
        inputs = _inputs([(name, given.shape, given.dtype.as_numpy_dtype) for name, given in named], batch_sizes)
        outputs = _outputs_of(served)
        begin_ns = time.perf_counter_ns()
        package = ct.convert([served], source="tensorflow", inputs=inputs, outputs=outputs, **options)
        return package, time.perf_counter_ns() - begin_ns


def _inputs(given: list[tuple[str, Sequence[int], Any]], batch_sizes: Sequence[int]) -> list[Any]:
    """Of (name, shape, dtype), with these batch sizes; of several inputs Core ML takes a range of them only."""
    import coremltools as ct
    import numpy as np

    several = len(given) > 1 and len(batch_sizes) > 1
    batch = ct.RangeDim(batch_sizes[0], batch_sizes[-1], symbol="batch") if several else None

    def shapes(shape: Sequence[int]) -> Any:
        return (batch, *shape[1:]) if several else _shapes(shape, batch_sizes)

    def kind(dtype: Any) -> Any:  # Core ML has one type of whole numbers
        return np.int32 if np.dtype(dtype).kind in "iu" else dtype

    return [ct.TensorType(name, shapes(shape), kind(dtype)) for name, shape, dtype in given]


def _outputs_of(function: Any) -> list[Any] | None:
    """Of a TensorFlow function, in its order: of several the converter wants to be told the names."""
    flat = function.outputs
    names = [output.name.partition(":")[0] for output in flat] if len(flat) > 1 else [None]
    return _outputs([output.dtype.name for output in flat], names)


def _outputs(dtypes: list[str], names: Sequence[str | None]) -> list[Any] | None:
    """In float32 where all are numbers with a fraction; else as the converter has them."""
    import coremltools as ct
    import numpy as np

    if not all("float" in dtype for dtype in dtypes):
        return None
    return [ct.TensorType(name, dtype=np.float32) for name in names]


def _shapes(shape: Sequence[int], batch_sizes: Sequence[int]) -> Any:
    import coremltools as ct

    shapes = [(size, *shape[1:]) for size in batch_sizes]
    return shapes[0] if len(shapes) == 1 else ct.EnumeratedShapes(shapes)


@contextmanager
def _loops_without_bound() -> Iterator[None]:
    """Around the tracing of a Keras model: its recurrent layers' loops lose their `maximum_iterations`.

    With it TensorFlow writes a loop with two more variables, of which coremltools 9.0 drops the first two of all. Keras
    gives the bound beside a condition that ends the loop by itself.
    """
    import tensorflow as tf

    bounded = tf.while_loop

    def unbounded(*arguments: Any, maximum_iterations: Any = None, **options: Any) -> Any:  # noqa: ARG001
        return bounded(*arguments, **options)

    with mock.patch.object(tf, "while_loop", unbounded):
        yield


def _from_pytorch(source: str, options: dict[str, Any], batch_sizes: Sequence[int]) -> tuple[Any, int]:
    import coremltools as ct
    import torch

    from orchestrator.zoo import pytorch_source

    class Traceable(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        """Interpreted, the program is traceable; called, its checks of symbolic shapes are not."""

        def __init__(self, program: torch.export.ExportedProgram) -> None:
            super().__init__()
            self.program = program.module(check_guards=False)

        def forward(self, *inputs: torch.Tensor) -> Any:
            return Sizing(self.program).run(*inputs)

    class Sizing(torch.fx.Interpreter):  # type: ignore[misc]
        """Calls what takes sizes so that a trace follows them: as the program calls it they would become constants."""

        def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if target is torch.ops.aten.sym_size.int:
                tensor, axis = args
                return tensor.size(axis)
            if (sized := taking_sizes.get(target)) is not None:
                return sized(*args, **{name: value for name, value in kwargs.items() if name == "dtype"})
            return super().call_function(target, args, kwargs)

    aten, tensor = torch.ops.aten, torch.Tensor
    taking_sizes = {
        aten.zeros.default: torch.zeros,
        aten.ones.default: torch.ones,
        aten.full.default: torch.full,
        **dict.fromkeys((aten.arange.default, aten.arange.start, aten.arange.start_step), torch.arange),
        aten.expand.default: tensor.expand,
        aten.view.default: tensor.view,
        aten.repeat.default: tensor.repeat,
        **dict.fromkeys((aten.reshape.default, aten._unsafe_view.default), tensor.reshape),
    }
    program = pytorch_source.load(source)
    placed = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if all(isinstance(node.meta["val"].shape[0], int) for node in placed):
        batch_sizes = [placed[0].meta["val"].shape[0]]
    examples = tuple(tensor[: batch_sizes[0]] for tensor in program.example_inputs[0])
    traceable = Traceable(program)
    traced = torch.jit.trace(traceable, examples, check_trace=False)
    if len(batch_sizes) > 1:
        others = tuple(torch.cat([example] * 2) for example in examples)
        torch.testing.assert_close(traced(*others), traceable(*others))
    names = [node.name for node in placed] if len(placed) > 1 else ["input"]
    given = [(name, example.shape, example.numpy().dtype) for name, example in zip(names, examples, strict=True)]
    answers = torch.utils._pytree.tree_leaves(traceable(*examples))
    outputs = _outputs([str(answer.dtype) for answer in answers], [None] * len(answers))
    begin_ns = time.perf_counter_ns()
    package = ct.convert(traced, inputs=_inputs(given, batch_sizes), outputs=outputs, **options)
    return package, time.perf_counter_ns() - begin_ns


def _normalised(specification: Any) -> Any:
    """Uniform names; without the date of the conversion."""
    import coremltools as ct

    for index, output in enumerate(specification.description.output):
        ct.utils.rename_feature(specification, output.name, f"output_{index}")
    specification.description.metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    return specification


def _fix_manifest(package: Path) -> None:
    """Replaces the random identifiers of the package's items by ones that follow from their paths."""
    manifest = package / "Manifest.json"
    text = manifest.read_text()
    for identifier, item in json.loads(text)["itemInfoEntries"].items():
        text = text.replace(identifier, str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])))
    manifest.write_text(json.dumps(json.loads(text), indent=4, sort_keys=True))


def _fix_specification(package: Path, kind: Any) -> None:
    """Writes it again with its maps in a fixed order."""
    (model,) = package.rglob("*.mlmodel")
    saved = kind.FromString(model.read_bytes())
    model.write_bytes(saved.SerializeToString(deterministic=True))


_FROM = {"keras": _from_keras, "pytorch": _from_pytorch, "tensorflow": _from_savedmodel}
