"""The operators that the evaluator knows: name in MIL -> function.

A function takes MIL's arguments by MIL's names as torch tensors (strings stay strings, several values are a tuple) with
MIL's defaults, and returns the result, or a tuple where the operation has several. An argument that it does not name is
refused when the program is loaded. An operation with blocks has them in the argument `blocks`, as callables that take
and give tuples. What an argument means: coremltools' documentation of MIL operators,
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from collections.abc import Mapping

from runners.adapters._mil.operators import control, elementwise, layers, lists, recurrent, shaping, weights
from runners.adapters._mil.tensors import Operator

OPERATORS: Mapping[str, Operator] = {
    **control.OPERATORS,
    **elementwise.OPERATORS,
    **layers.OPERATORS,
    **lists.OPERATORS,
    **recurrent.OPERATORS,
    **shaping.OPERATORS,
    **weights.OPERATORS,
}
