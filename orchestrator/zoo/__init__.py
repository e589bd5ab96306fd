"""The study's networks. Adding one is a module with `build()` and a row here; nothing here imports a framework."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.configuration import Configuration
from orchestrator.datasets import Inputs


class Training(Configuration):
    """How to train; what is None is the study's. `time_budget_s` ends training within an epoch, too."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    time_budget_s: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None


@dataclass(frozen=True)
class Recipe:
    """The study's hyper-parameters; the loss is the cross-entropy.

    After every `decay_epochs` the learning rate is divided by ten, never when None. `clip_norm` bounds the norm of all
    gradients together. With `keep_best` training ends with the weights of the epoch of best validation accuracy, else
    with those of the last. With `augment` images are mirrored by chance and moved by up to 4 pixels.
    """

    learning_rate: float
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    decay_epochs: int | None = None
    shuffle: bool = True
    clip_norm: float | None = None
    keep_best: bool = False
    augment: bool = False
    batch_size: int = 128
    epochs: int = 50

    def changed(self, training: Training) -> "Recipe":
        """The recipe with what the suite wants to be otherwise."""
        wanted = training.model_dump(include={"epochs", "batch_size", "learning_rate"}, exclude_none=True)
        return replace(self, **wanted)

    def for_small_data(self, batch_divisor: int, rate_divisor: int) -> "Recipe":
        """The recipe on a far smaller data set, see `DataSetEntry`; only those with a schedule need a change."""
        if self.decay_epochs is None:
            return self
        rate = self.learning_rate / rate_divisor
        return replace(self, batch_size=self.batch_size // batch_divisor, learning_rate=rate)


@dataclass(frozen=True)
class Network:
    """One network in one source framework: `module` has `build()`, which returns it with weights drawn by chance.

    `parameters` is the study's count: in Keras trainable or not, in PyTorch without buffers. A network of `tokens` is
    built for a `vocabulary` and a `length`; the count is for the study's vocabulary,
    92,492 in Keras and 1,001 in PyTorch.
    """

    module: str
    parameters: int
    inputs: Inputs
    recipe: Recipe


_KERAS_IMAGES = Recipe(learning_rate=0.001, momentum=0.9)
_KERAS_TEXT = Recipe(learning_rate=0.001, optimizer="adam", keep_best=True)
_PYTORCH_IMAGES = Recipe(learning_rate=0.001, momentum=0.9, decay_epochs=7, keep_best=True, augment=True)
_PYTORCH_TEXT = Recipe(learning_rate=0.001, optimizer="adam", clip_norm=5.0, keep_best=True, batch_size=100)
_KERAS_LENET = Recipe(learning_rate=0.1)
_PYTORCH_LENET = Recipe(learning_rate=0.1, momentum=0.9, decay_epochs=7, shuffle=False, keep_best=True)

MODELS = {
    ("lenet5", "keras"): Network("orchestrator.zoo.lenet5_keras", 142_346, "28x28x1", _KERAS_LENET),
    ("lenet5", "pytorch"): Network("orchestrator.zoo.lenet5_pytorch", 61_706, "28x28x1", _PYTORCH_LENET),
    ("resnet18", "keras"): Network("orchestrator.zoo.resnet18_keras", 11_183_562, "32x32x3", _KERAS_IMAGES),
    ("resnet18", "pytorch"): Network("orchestrator.zoo.resnet18_pytorch", 11_181_642, "32x32x3", _PYTORCH_IMAGES),
    ("vgg", "keras"): Network("orchestrator.zoo.vgg_keras", 8_966_986, "32x32x3", _KERAS_IMAGES),
    ("vgg", "pytorch"): Network("orchestrator.zoo.vgg_pytorch", 128_812_810, "32x32x3", _PYTORCH_IMAGES),
    ("lstm", "keras"): Network("orchestrator.zoo.lstm_keras", 12_036_737, "tokens", _KERAS_TEXT),
    ("lstm", "pytorch"): Network("orchestrator.zoo.lstm_pytorch", 920_385, "tokens", _PYTORCH_TEXT),
    ("gru", "keras"): Network("orchestrator.zoo.gru_keras", 11_991_089, "tokens", _KERAS_TEXT),
    ("gru", "pytorch"): Network("orchestrator.zoo.gru_pytorch", 706_369, "tokens", _PYTORCH_TEXT),
}
"""(model, source framework) -> network. The two networks of one name are different networks."""
