"""What the server orders from a worker, as plain values; their fields are those of the contract.

Named tuples here and in what else every worker imports: the module `dataclasses` costs a trial some 10 ms.
"""

from typing import NamedTuple


class Session(NamedTuple):
    """What to execute, where and how; `artifact` is a path."""

    runtime: str
    artifact: str
    format: str
    device: str
    threads: int


class Plan(NamedTuple):
    """What to measure; `memory` makes it a memory trial, `inputs` is a path."""

    memory: bool
    inputs: str
    batch_size: int
    compute_only: bool
    reference_best_ns: float


class StopRule(NamedTuple):
    """When a timing trial has enough."""

    min_samples: int
    min_time_ns: int
    min_undisturbed_samples: int
    max_time_ns: int
    max_warmup_ns: int
