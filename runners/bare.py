"""`python -m runners.bare WHAT ...`: a plain loop, which the self-test holds the harness against.

Of the runner's package it shares the reference computation alone, so that what neighbours did to it can be taken out
as well. It prints one JSON object with the fields of the contract's Timing that it has.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import TypeAlias

from runners.measure.reference import reference_ns

BLOCK_NS = 300_000

Block: TypeAlias = Callable[[int], list[int]]
"""Times that many calls, one by one, in nanoseconds."""


def main() -> None:
    """Warms up, loops, prints."""
    parser = argparse.ArgumentParser(prog="python -m runners.bare")
    parser.add_argument("--warmup-s", type=float, required=True)
    parser.add_argument("--steady-s", type=float, required=True)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("clock", help="two reads of the clock, one right after the other")
    what.add_parser("sleep").add_argument("hold_ns", type=int)
    session = what.add_parser("onnxruntime", help="session.run on one thread, at batch 1")
    session.add_argument("model", type=Path)
    session.add_argument("inputs", type=Path)
    arguments = parser.parse_args()
    print(json.dumps(loop(block_of(arguments), arguments.warmup_s, arguments.steady_s)))


def block_of(arguments: argparse.Namespace) -> Block:
    """What is looped around."""
    if arguments.what == "clock":
        return read_clock
    if arguments.what == "sleep":
        return timed(partial(time.sleep, arguments.hold_ns / 1e9))
    return timed(onnxruntime_call(arguments.model, arguments.inputs))


def onnxruntime_call(model: Path, inputs: Path) -> Callable[[], object]:
    """One inference of the first sample."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    with np.load(inputs, allow_pickle=False) as archive:
        feed = {session.get_inputs()[0].name: archive[archive.files[0]][:1]}
    return partial(session.run, None, feed)


def read_clock(count: int) -> list[int]:
    """`count` times the time between two reads."""
    samples: list[int] = []
    for _ in range(count):
        begun = perf_counter_ns()
        ended = perf_counter_ns()
        samples.append(ended - begun)
    return samples


def timed(call: Callable[[], object]) -> Block:
    """A block of that many calls."""

    def block(count: int) -> list[int]:
        samples: list[int] = []
        for _ in range(count):
            begun = perf_counter_ns()
            call()
            ended = perf_counter_ns()
            samples.append(ended - begun)
        return samples

    return block


def loop(block: Block, warmup_s: float, steady_s: float) -> dict[str, list[int]]:
    """Blocks of about 0.3 ms with a reference before the first and after each one."""
    fastest_ns = min(block(5))
    end = time.monotonic() + warmup_s
    while time.monotonic() < end:
        fastest_ns = min(fastest_ns, *block(1))
    count = max(1, BLOCK_NS // max(fastest_ns, 1))
    samples_ns: list[int] = []
    block_samples: list[int] = []
    references_ns = [reference_ns()]
    end = time.monotonic() + steady_s
    while not block_samples or time.monotonic() < end:
        samples_ns += block(count)
        block_samples.append(count)
        references_ns.append(reference_ns())
    return {"samples_ns": samples_ns, "block_samples": block_samples, "references_ns": references_ns}


if __name__ == "__main__":
    main()
