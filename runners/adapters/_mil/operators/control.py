"""Operators that hold blocks of other operators."""

from collections.abc import Callable

from runners.adapters._mil.tensors import Operator, Value, several

Block = Callable[[tuple[Value, ...]], tuple[Value, ...]]


def cond(pred: Value, blocks: tuple[Block, Block]) -> tuple[Value, ...]:
    """The results of the first block where the predicate holds, of the second where not."""
    return blocks[0 if bool(pred) else 1](())


def while_loop(loop_vars: Value, blocks: tuple[Block, Block]) -> tuple[Value, ...]:
    """Repeats the second block on its own results for as long as the first one says true."""
    condition, body = blocks
    variables = tuple(several(loop_vars))
    while bool(condition(variables)[0]):
        variables = body(variables)
    return variables


OPERATORS: dict[str, Operator] = {"cond": cond, "while_loop": while_loop}
