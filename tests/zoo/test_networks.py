"""The ten networks are those of the study."""

import importlib
from typing import Any

import pytest
import torch

from orchestrator.datasets import DATASETS
from orchestrator.zoo import MODELS

# Keras's text networks know every word of the study's training part.
VOCABULARY = {"keras": 92_492, "pytorch": 1001}
LENGTH = 7
SHAPES = {"28x28x1": (28, 28, 1), "32x32x3": (32, 32, 3), "tokens": (LENGTH,)}


def _built(name: str, framework: str) -> Any:
    network = MODELS[name, framework]
    arguments = {"vocabulary": VOCABULARY[framework], "length": LENGTH} if network.inputs == "tokens" else {}
    return importlib.import_module(network.module).build(**arguments)


def test_there_are_ten() -> None:
    assert len(MODELS) == 10


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "vgg", "lstm", "gru"])
def test_a_keras_network_has_the_studys_parameters_and_answers(name: str) -> None:
    model = _built(name, "keras")
    network = MODELS[name, "keras"]
    assert model.count_params() == network.parameters
    assert model.input_shape == (None, *SHAPES[network.inputs])
    assert model.output_shape == (None, 1 if network.inputs == "tokens" else 10)


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "vgg", "lstm", "gru"])
def test_a_pytorch_network_has_the_studys_parameters_and_answers(name: str) -> None:
    network = MODELS[name, "pytorch"]
    with torch.device("meta"):  # VGG's half a gigabyte of weights need not exist for this
        model = _built(name, "pytorch").eval()
        if network.inputs == "tokens":
            inputs = torch.zeros(2, LENGTH, dtype=torch.int32)
        else:
            height, width, channels = SHAPES[network.inputs]
            inputs = torch.zeros(2, channels, height, width)
        assert sum(parameter.numel() for parameter in model.parameters()) == network.parameters
        assert model(inputs).shape == (2, 1 if network.inputs == "tokens" else 10)


def test_every_network_has_data() -> None:
    offered = {inputs for entry in DATASETS.values() for inputs in entry.inputs}
    assert {network.inputs for network in MODELS.values()} <= offered
