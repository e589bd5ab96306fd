"""Models of LiteRT, formerly TensorFlow Lite."""

from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import operators, precision_of, tensor

_IDENTIFIER = b"TFL3"
"""Of the schema; FlatBuffers have it after the offset of their root, which is 4 bytes."""


def recognises(artifact: Path) -> bool:
    """By the identifier of its schema."""
    if not artifact.is_file():
        return False
    with artifact.open("rb") as file:
        return file.read(8)[4:] == _IDENTIFIER


def read(artifact: Path) -> dict[str, JSON]:
    """See `of_bytes`."""
    return of_bytes(artifact.read_bytes())


def signature(artifact: Path) -> dict[str, JSON]:
    """Weights are the tensors that have content."""
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

    model = schema.ModelT.InitFromPackedBuf(artifact.read_bytes(), 0)
    main = model.subgraphs[0]
    (served,) = model.signatureDefs or [None]
    names = {entry.tensorIndex: entry.name for entry in (served.inputs if served else ())}
    filled = {index for index, buffer in enumerate(model.buffers) if buffer.data is not None}
    weights = (held for graph in model.subgraphs for held in graph.tensors if held.buffer in filled)
    return {
        "precision": precision_of(_name(schema.TensorType, held.type).lower() for held in weights),
        "inputs": [
            _input(names.get(index, main.tensors[index].name).decode(), main.tensors[index], schema)
            for index in main.inputs
        ],
    }


def _input(name: str, held: Any, schema: Any) -> dict[str, JSON]:
    sizes = held.shape if held.shapeSignature is None else held.shapeSignature
    dtype = _name(schema.TensorType, held.type).lower().replace("string", "str")
    return tensor(name, dtype, [None if size < 0 else int(size) for size in sizes])


def of_bytes(content: bytes) -> dict[str, JSON]:
    """Operators are those of loops and branches too; a custom one, of which LiteRT itself has none, keeps its own name.

    Inputs and outputs have the names of the signature or, where the artifact has none, of the tensors.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    main = model.subgraphs[0]
    kinds = [_operator(code, schema) for code in model.operatorCodes]
    counts = Counter(kinds[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators)
    (signature,) = model.signatureDefs or [None]

    def tensors(indices: Any, named: Any) -> dict[str, JSON]:
        names = {entry.tensorIndex: entry.name for entry in named or ()}
        return {
            names.get(index, main.tensors[index].name).decode(): _type(main.tensors[index], schema) for index in indices
        }

    return {
        "schema_version": model.version,
        "producer": model.description.decode(),
        **operators(counts),
        "inputs": tensors(main.inputs, signature and signature.inputs),
        "outputs": tensors(main.outputs, signature and signature.outputs),
    }


def _operator(code: Any, schema: Any) -> str:
    if code.customCode:
        return str(code.customCode.decode())
    # Files of before operators became too many for one byte have their number in the first of the two fields.
    return _name(schema.BuiltinOperator, max(code.builtinCode, code.deprecatedBuiltinCode))


def _type(tensor: Any, schema: Any) -> str:
    sizes = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    shape = ", ".join("batch" if size < 0 and not axis else str(size) for axis, size in enumerate(sizes))
    return f"{_name(schema.TensorType, tensor.type).lower()} [{shape}]"


def _name(enumeration: Any, value: int) -> str:
    names = (name for name, number in vars(enumeration).items() if number == value and not name.startswith("_"))
    return next(names, str(value))  # of a schema newer than this one
