"""What is measured: the case, and the trial that measures it once."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Case:
    """model x format x precision x runtime x device x batch size x threads, on one runner of one host.

    `model` is the zoo's name without the framework ("lenet5"); `source_framework` tells the two networks of one name apart.
    """

    model: str
    source_framework: str
    format: str
    precision: str
    runner: str
    host: str
    runtime: str
    device: str
    batch_size: int
    threads: int
