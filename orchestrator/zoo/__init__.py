"""The study's networks. Adding one is a module with `build()` and a row here; nothing here imports a framework."""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from orchestrator.configuration import Configuration


class Training(Configuration):
    """How long to train: `epochs` is the study's when None; no epoch begins after `time_budget_s`."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    time_budget_s: Annotated[float, Field(gt=0)] | None = None


@dataclass(frozen=True)
class Recipe:
    """The study's hyper-parameters, with stochastic gradient descent and cross-entropy.

    After every `decay_epochs` the learning rate is divided by ten, never when None. As in the study, PyTorch models
    end with the weights of the epoch of best validation accuracy, Keras models with those of the last.
    """

    learning_rate: float
    momentum: float
    decay_epochs: int | None
    shuffle: bool
    batch_size: int = 128
    epochs: int = 50

    def for_small_data(self, batch_divisor: int, rate_divisor: int) -> "Recipe":
        """The recipe on a far smaller data set, see `DataSetEntry`; only those with a schedule need a change."""
        if self.decay_epochs is None:
            return self
        rate = self.learning_rate / rate_divisor
        return replace(self, batch_size=self.batch_size // batch_divisor, learning_rate=rate)


@dataclass(frozen=True)
class Network:
    """One network in one source framework: `module` has `build()`, which returns it with weights drawn by chance.

    `parameters` is the study's count: in Keras trainable or not, in PyTorch without buffers.
    """

    module: str
    parameters: int
    recipe: Recipe


MODELS = {
    ("lenet5", "keras"): Network(
        "orchestrator.zoo.lenet5_keras",
        142_346,
        Recipe(learning_rate=0.1, momentum=0.0, decay_epochs=None, shuffle=True),
    ),
    ("lenet5", "pytorch"): Network(
        "orchestrator.zoo.lenet5_pytorch",
        61_706,
        Recipe(learning_rate=0.1, momentum=0.9, decay_epochs=7, shuffle=False),
    ),
}
"""(model, source framework) -> network. The two networks of one name are different networks."""
