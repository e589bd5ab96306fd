"""Archives of torch.export."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators, precision_of, tensor
from runner_api.v1 import archives

_SYMBOL = re.compile(r"Symbol\('(\w+)'[^)]*\)")


def recognises(artifact: Path) -> bool:
    """By the member that every archive of PyTorch's package format has."""
    return any(name.rpartition("/")[2] == "archive_format" for name in members(artifact))


def read(artifact: Path) -> dict[str, JSON]:
    """What the archive says of itself; torch.export would unpickle some of it, and execute more."""
    with archives.opened(artifact) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/models/model.json"))
        model = archive.read(name)
    module = json.loads(model)["graph_module"]
    graph = module["graph"]
    calls = Counter(node["target"].removeprefix("torch.ops.") for node in graph["nodes"])
    given = (spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec)
    names = [argument["as_tensor"]["name"] for argument in given]
    return {**operators(calls), "inputs": {name: _type(graph["tensor_values"][name]) for name in names}}


def _type(tensor: Any) -> str:
    """Types are numbers of torch.export's own; the size of a free axis is an expression of sympy's symbols."""
    from torch._export.serde.serialize import deserialize_scalar_type

    dtype = str(deserialize_scalar_type(tensor["dtype"])).removeprefix("torch.")
    sizes = (size["as_int"] if "as_int" in size else size["as_expr"]["expr_str"] for size in tensor["sizes"])
    shown = ", ".join(_SYMBOL.sub(r"\1", str(size)) for size in sizes)
    return f"{dtype} [{shown}]"


def signature(artifact: Path) -> dict[str, JSON]:
    """Of the loaded program; each free size has a name, equal ones the same."""
    from orchestrator.zoo import pytorch_source

    program = pytorch_source.load(str(artifact))
    placed = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    return {
        "precision": precision_of(map(_dtype, program.state_dict.values())),
        "inputs": [
            tensor(name, _dtype(placed[name]), [_size(size) for size in placed[name].shape])
            for name in program.graph_signature.user_inputs
        ],
    }


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _size(size: Any) -> int | str:
    return size if isinstance(size, int) else str(size)
