"""An ML Program, checked and made ready once, evaluated operation by operation."""

import inspect
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial

import torch
from coremltools.proto import MIL_pb2

from runners.adapters._mil.constants import Constants
from runners.adapters._mil.operators import OPERATORS
from runners.adapters._mil.package import Package, refusal
from runners.adapters._mil.tensors import Declaration, Value, declaration
from runners.failure import Failure, unexpected

CONSTANT = "constexpr_"
"""Begins the names of operations whose arguments are constants in their attributes."""


@dataclass(frozen=True)
class Step:
    """One operation: what it computes, and from and to which names of its block."""

    operator: str
    function: Callable[..., Value]
    arguments: Mapping[str, tuple[str, ...]]
    results: tuple[Declaration, ...]
    blocks: tuple["Block", ...]

    @property
    def mentions(self) -> frozenset[str]:
        """Names that it, or a block in it, reads."""
        names = {name for argument in self.arguments.values() for name in argument}
        return frozenset(names.union(*(block.mentions for block in self.blocks)))

    def run(self, scope: ChainMap[str, Value]) -> None:
        """Computes the results and writes them into the scope, each in the type that the program declares.

        Raises:
            Failure: (infer, crash) or (infer, out-of-memory), naming the operation.
        """
        arguments = {
            name: scope[bound[0]] if len(bound) == 1 else tuple(scope[each] for each in bound)
            for name, bound in self.arguments.items()
        }
        if self.blocks:
            arguments["blocks"] = tuple(partial(block.run, scope) for block in self.blocks)
        try:
            computed = self.function(**arguments)
            given = computed if isinstance(computed, tuple) else (computed,)
            for result, value in zip(self.results, given, strict=True):
                scope[result.name] = result.settle(value)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            found = unexpected("infer", error)
            where = f"operation {self.results[0].name!r} ({self.operator})"
            raise Failure(found.stage, found.symptom, f"{where}: {found.message}") from error


@dataclass(frozen=True)
class Block:
    """Operations in order, with the constants that stand among them."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: dict[str, Value]
    steps: tuple[Step, ...]
    # After each step, the names that nothing reads any more: their memory is given back.
    released: tuple[frozenset[str], ...]

    @property
    def mentions(self) -> frozenset[str]:
        """Names that it reads, its own included."""
        return frozenset(self.outputs).union(*(step.mentions for step in self.steps))

    def run(self, outer: MutableMapping[str, Value], given: tuple[Value, ...]) -> tuple[Value, ...]:
        """Evaluates the block within the names of the block around it."""
        own = dict(zip(self.inputs, given, strict=True))
        scope = ChainMap(own, self.constants, outer)
        for step, names in zip(self.steps, self.released, strict=True):
            step.run(scope)
            for name in names:
                own.pop(name, None)
        return tuple(scope[name] for name in self.outputs)


def load_block(message: MIL_pb2.Block, stored: Constants) -> Block:
    """Reads a block: constants become tensors, operations become steps."""
    constants: dict[str, Value] = {}
    steps: list[Step] = []
    for operation in message.operations:
        if operation.type == "const":
            constants[operation.outputs[0].name] = stored.read(operation.attributes["val"])
        else:
            steps.append(load_step(operation, stored, constants))
    outputs = tuple(message.outputs)
    return Block(
        tuple(given.name for given in message.inputs), outputs, constants, tuple(steps), tuple(releases(steps, outputs))
    )


def load_step(operation: MIL_pb2.Operation, stored: Constants, constants: dict[str, Value]) -> Step:
    """Reads an operation; a constant that is written into an argument gets a name of its own."""
    results = tuple(declaration(result) for result in operation.outputs)
    arguments: dict[str, tuple[str, ...]] = {}
    for parameter, argument in operation.inputs.items():
        names = []
        for index, binding in enumerate(argument.arguments):
            if binding.WhichOneof("binding") == "name":
                names.append(binding.name)
            else:
                names.append(f"{results[0].name}.{parameter}.{index}")
                constants[names[-1]] = stored.read(binding.value)
        arguments[parameter] = tuple(names)
    if operation.type.startswith(CONSTANT):
        for parameter in operation.attributes.keys() - {"name"}:
            name = f"{results[0].name}.{parameter}"
            constants[name] = stored.read(operation.attributes[parameter])
            arguments[parameter] = (name,)
    blocks = tuple(load_block(block, stored) for block in operation.blocks)
    return Step(operation.type, OPERATORS[operation.type], arguments, results, blocks)


def releases(steps: list[Step], outputs: tuple[str, ...]) -> list[frozenset[str]]:
    """For each step, the names that are read or made there for the last time."""
    needed = set(outputs)
    released: list[frozenset[str]] = []
    for step in reversed(steps):
        ends = (step.mentions | {result.name for result in step.results}) - needed
        needed |= ends
        released.append(frozenset(ends))
    return released[::-1]


def operations(block: MIL_pb2.Block) -> Iterator[MIL_pb2.Operation]:
    """Every operation of a block and of the blocks in it, constants left out."""
    for operation in block.operations:
        if operation.type != "const":
            yield operation
        for inner in operation.blocks:
            yield from operations(inner)


def unsupported(operation: MIL_pb2.Operation) -> str | None:
    """What of an operation the evaluator does not know: its operator, or one of its arguments."""
    name = str(operation.type)
    function = OPERATORS.get(name)
    if function is None:
        return name
    parameters = inspect.signature(function).parameters
    foreign = sorted(name for name in operation.inputs if name not in parameters)
    return f"{name} with the argument {foreign[0]}" if foreign else None


def check_names(block: Block, outer: set[str]) -> None:
    """Every name that is read was given or made before.

    Raises:
        Failure: (load, refused) one that was not.
    """
    known = outer.union(block.inputs, block.constants)

    def require(names: Iterable[str]) -> None:
        for name in names:
            if name not in known:
                raise refusal(f"the ML Program reads {name[:80]!r}, which nothing in it makes")

    for step in block.steps:
        for names in step.arguments.values():
            require(names)
        for inner in step.blocks:
            check_names(inner, known)
        known.update(result.name for result in step.results)
    require(block.outputs)


@dataclass(frozen=True)
class Program:
    """The main function of an ML Program."""

    block: Block
    operations: int

    def evaluate(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs by name, each in the type that the program declares.

        Raises:
            Failure: (infer, crash) or (infer, out-of-memory), naming the operation.
        """
        with torch.inference_mode():
            # A function's inputs stand around its block, which has none of its own.
            return dict(zip(self.block.outputs, self.block.run(dict(inputs), ()), strict=True))


def load_program(package: Package) -> Program:
    """Checks that every operator is known, then reads the constants.

    Raises:
        Failure: (load, unsupported-operator) naming what is not known; (load, refused) a constant that cannot be read.
    """
    main = package.specification.mlProgram.functions["main"]
    block = main.block_specializations[main.opset]
    known = list(operations(block))
    unknown = sorted({name for operation in known if (name := unsupported(operation)) is not None})
    if unknown:
        raise Failure(
            "load",
            "unsupported-operator",
            f"coreml-reference has no operator {', '.join(unknown)}: run this case on a Mac",
        )
    loaded = load_block(block, Constants(package))
    check_names(loaded, {feature.name for feature in package.specification.description.input})
    return Program(loaded, len(known))
