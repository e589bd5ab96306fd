"""Operators that go through a sequence step by step."""

from collections.abc import Callable

import torch

from runners.adapters._mil.tensors import Operator, Value

ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def lstm(
    x: Value,
    initial_h: Value,
    initial_c: Value,
    weight_ih: Value,
    weight_hh: Value,
    bias: Value | None = None,
    weight_ih_back: Value | None = None,
    weight_hh_back: Value | None = None,
    bias_back: Value | None = None,
    direction: str = "forward",
    output_sequence: Value = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
) -> tuple[Value, Value, Value]:
    """Hidden states of every step, or of the last one, then the last hidden and the last cell state.

    x (steps, samples, features); states (samples, directions * hidden); the gates are stacked in the order input,
    forget, output, cell.
    """
    functions = tuple(ACTIVATIONS[name] for name in (recurrent_activation, cell_activation, activation))
    passes = [(weight_ih, weight_hh, bias, direction == "reverse")]
    if direction == "bidirectional":
        passes.append((weight_ih_back, weight_hh_back, bias_back, True))
    states = zip(initial_h.chunk(len(passes), 1), initial_c.chunk(len(passes), 1), strict=True)
    parts = [_lstm_pass(x, *state, *one, functions) for state, one in zip(states, passes, strict=True)]
    sequence, hidden, cell = (torch.cat(part, dim=-1) for part in zip(*parts, strict=True))
    return (sequence if bool(output_sequence) else hidden.unsqueeze(0)), hidden, cell


def _lstm_pass(
    x: Value,
    hidden: Value,
    cell: Value,
    weight_ih: Value,
    weight_hh: Value,
    bias: Value | None,
    is_reverse: bool,
    functions: tuple[Callable[[Value], Value], ...],
) -> tuple[Value, Value, Value]:
    """One direction; the sequence of hidden states is in the order of x."""
    recurrent, of_cell, of_output = functions
    given = torch.nn.functional.linear(x, weight_ih, bias)
    steps = []
    for step in reversed(given) if is_reverse else given:
        gates = step + torch.nn.functional.linear(hidden, weight_hh)
        inward, kept, outward, new = gates.chunk(4, dim=-1)
        cell = recurrent(kept) * cell + recurrent(inward) * of_cell(new)
        hidden = recurrent(outward) * of_output(cell)
        steps.append(hidden)
    return torch.stack(steps[::-1] if is_reverse else steps), hidden, cell


OPERATORS: dict[str, Operator] = {"lstm": lstm}
