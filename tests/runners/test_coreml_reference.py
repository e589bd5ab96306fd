"""The Core ML reference against the frameworks whose models were converted."""

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import coremltools
import keras
import numpy as np
import pytest
import tensorflow
import torch
from numpy.typing import NDArray
from torch import nn

from runners.adapters import TensorSpec, coreml_reference
from runners.failure import Failure

PRECISIONS = ("float32", "float16")
# Largest error against the source in float32; float16 has 11 significant bits.
TOLERANCE = {"float32": 1e-5, "float16": 1e-2}
OPEN_BATCH = coremltools.RangeDim(1, 64, default=2)


def pack(package: Path, archive: Path) -> Path:
    """A package's files as a zip archive."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(package.rglob("*")):
            packed.write(path, path.relative_to(package))
    return archive


def convert_torch(module: nn.Module, sample: torch.Tensor, precision: str, archive: Path) -> Path:
    """A torch module as a packed package with an open batch."""
    traced = torch.jit.trace(module.eval(), sample)
    whole = sample.dtype.is_floating_point
    given = coremltools.TensorType(
        "input", coremltools.Shape((OPEN_BATCH, *sample.shape[1:])), np.float32 if whole else np.int32
    )
    return save(coremltools.convert(traced, inputs=[given], **target(precision)), archive)


def convert_keras(model: keras.Model, batch: int, precision: str, archive: Path) -> Path:
    """A Keras model as a packed package with a fixed batch."""
    signature = tensorflow.TensorSpec((batch, *model.input_shape[1:]), tensorflow.float32)
    concrete = tensorflow.function(partial(model, training=False)).get_concrete_function(signature)
    return save(coremltools.convert([concrete], source="tensorflow", **target(precision)), archive)


def target(precision: str) -> dict[str, object]:
    """What both conversions ask for."""
    compute = {"float32": coremltools.precision.FLOAT32, "float16": coremltools.precision.FLOAT16}[precision]
    return {
        "convert_to": "mlprogram",
        "compute_precision": compute,
        "minimum_deployment_target": coremltools.target.iOS17,
    }


def save(converted: coremltools.models.MLModel, archive: Path) -> Path:
    """Writes and packs a converted model."""
    folder = archive.with_suffix(".mlpackage")
    converted.save(str(folder))
    return pack(folder, archive)


def answer(archive: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    """The only output of a package for an array given as its only input."""
    model = coreml_reference.load(archive, "cpu", 1)
    (given,) = model.inputs
    outputs = model.fetch(model.bind({given.name: inputs}, compute_only=False)())
    model.close()
    (output,) = outputs.values()
    return output


class Apply(nn.Module):  # type: ignore[misc]
    """A module from a function."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class SamePadding(nn.Module):  # type: ignore[misc]
    """Convolution whose padding differs before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding="same", dilation=2, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(nn.functional.pad(x, (1, 0, 0, 2), value=0.5))


class Embedded(nn.Module):  # type: ignore[misc]
    """Rows of a table, chosen by integers, through a recurrent layer that converts to a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 3)
        self.recurrent = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.recurrent(self.table(x))[0][:, -1]


def normalized() -> nn.Module:
    """Batch normalization whose statistics are not the initial ones."""
    module = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    for layer in module:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean, layer.running_var = torch.rand(2), torch.rand(2) + 0.5
    return module


def scaled_layers() -> nn.Module:
    """Layer normalization over one and over two axes, whose weights are not the initial ones."""
    module = nn.Sequential(nn.LayerNorm(6), nn.LayerNorm((6, 6)))
    for layer in module:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return module


MODULES: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1),
    "conv without bias, unequal padding, groups, dilation": SamePadding,
    "conv over one axis": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 3, 5)),
    "average pooling with padding": lambda: nn.AvgPool2d(3, 2, padding=1),
    "average pooling without padding in the mean": lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average pooling rounded up": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
    "maximum pooling": lambda: nn.MaxPool2d(3, 2, padding=1),
    "batch normalization": normalized,
    "linear and softmax": lambda: nn.Sequential(nn.Flatten(), nn.Linear(72, 5), nn.Softmax(-1)),
    "matmul": lambda: Apply(lambda x: x @ x.transpose(-1, -2)),
    "activations": lambda: nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Hardtanh(0.55, 0.65)),
    "activations of later networks": lambda: nn.Sequential(
        nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.Softplus(), nn.Softsign()
    ),
    "activations for small processors": lambda: nn.Sequential(nn.ReLU6(), nn.Hardsigmoid(), nn.Hardswish()),
    "layer normalization": scaled_layers,
    "instance normalization": lambda: nn.InstanceNorm2d(2, affine=True),
    "arithmetic": lambda: Apply(
        lambda x: (x.abs() + 1).rsqrt() + x.erf() * (x.abs() + 0.5).log() - x.sin() / (x.cos().abs() + 1) + x.pow(2)
    ),
    "roundings": lambda: Apply(lambda x: x.floor() - x.ceil() + (x / 2).round() * x.sign()),
    "norms": lambda: Apply(lambda x: x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 0.5)),
    "broadcasting": lambda: Apply(lambda x: (x + x[:, :1]) * x / (x * x + 1.5) - x[:, :, :1]),
    "means": lambda: Apply(lambda x: x.mean((2, 3)) + x.mean(1, keepdim=True).sum((2, 3))),
    "concatenation": lambda: Apply(lambda x: torch.cat([x, x * 2, x], 1)),
    "slices": lambda: Apply(lambda x: x[:, 1, 1:-1, ::2]),
    "shapes": lambda: Apply(lambda x: x.permute(0, 2, 1, 3).reshape(-1, 72).unsqueeze(1).unsqueeze(-1).squeeze(1)),
    "reflection": lambda: nn.ReflectionPad2d((1, 2, 0, 1)),
    "choice": lambda: Apply(lambda x: torch.where(x > 0.2, torch.maximum(x, x * x), x.exp())),
}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODULES)
def test_operators_agree_with_torch(name: str, precision: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module, inputs = MODULES[name](), torch.randn(3, 2, 6, 6)
    archive = convert_torch(module, inputs, precision, tmp_path / "model.zip")
    given = answer(archive, inputs.numpy())
    assert given.dtype == precision
    np.testing.assert_allclose(given, module(inputs).detach().numpy(), atol=TOLERANCE[precision], rtol=1e-2)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_integers_rows_of_a_table_and_a_loop(precision: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module, inputs = Embedded(), torch.randint(0, 10, (2, 7))
    archive = convert_torch(module, inputs, precision, tmp_path / "model.zip")
    np.testing.assert_allclose(
        answer(archive, inputs.numpy()), module(inputs).detach().numpy(), atol=TOLERANCE[precision]
    )


def lenet_torch() -> nn.Module:
    """LeNet-5 as the study has it in PyTorch."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def lenet_keras() -> keras.Model:
    """LeNet-5 as the study has it in Keras."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(16, 5, padding="same", activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(120, 5, activation="relu"), layers.Dropout(0.25), layers.Flatten()),
            *(layers.Dense(84, activation="relu"), layers.Dropout(0.5), layers.Dense(10, activation="softmax")),
        ]
    )


@pytest.mark.parametrize(("precision", "largest_error"), [("float32", 1e-4), ("float16", 1e-2)])
def test_lenet_from_pytorch(precision: str, largest_error: float, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module, inputs = lenet_torch(), torch.rand(32, 1, 28, 28)
    archive = convert_torch(module, inputs[:2], precision, tmp_path / "model.zip")
    np.testing.assert_allclose(
        answer(archive, inputs.numpy()), module(inputs).detach().numpy(), atol=largest_error, rtol=0
    )


@pytest.mark.parametrize(("precision", "largest_error"), [("float32", 1e-4), ("float16", 1e-2)])
def test_lenet_from_keras_in_slices_of_its_fixed_batch(precision: str, largest_error: float, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model, inputs = lenet_keras(), np.random.default_rng(1).random((32, 28, 28, 1), np.float32)
    archive = convert_keras(model, 1, precision, tmp_path / "model.zip")
    np.testing.assert_allclose(answer(archive, inputs), model.predict(inputs, verbose=0), atol=largest_error, rtol=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked package with weights, batch 1 to 64 of (20, 20), in float32."""
    folder = tmp_path_factory.mktemp("small")
    convert_torch(nn.Linear(20, 20), torch.randn(2, 20, 20), "float32", folder / "model.zip")
    return folder / "model.mlpackage"


def test_a_loaded_program_describes_itself(small: Path, tmp_path: Path) -> None:
    model = coreml_reference.load(pack(small, tmp_path / "model.zip"), "cpu", 2)
    assert model.inputs == [TensorSpec("input", "float32", (None, 20, 20))]
    assert (model.placement().counts, model.placement().unit) == ({"cpu": 1}, "operations")
    assert model.threads_in_force() == {"intra_op": 2}
    assert not coreml_reference.MEASURES


def test_a_package_under_one_folder(small: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in small.rglob("*"):
            packed.write(path, Path("model.mlpackage") / path.relative_to(small))
    assert answer(archive, np.zeros((1, 20, 20), np.float32)).shape == (1, 20, 20)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"input": np.zeros((65, 20, 20), np.float32)}, "1 to 64, 20, 20"),
        ({"input": np.zeros((1, 20, 21), np.float32)}, r"given \(1, 20, 21\)"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, NDArray[Any]], words: str, small: Path, tmp_path: Path) -> None:
    model = coreml_reference.load(pack(small, tmp_path / "model.zip"), "cpu", 1)
    with pytest.raises(Failure, match=words) as caught:
        model.bind(inputs, compute_only=False)
    assert (caught.value.stage, caught.value.symptom) == ("infer", "refused")


def test_a_batch_that_is_no_multiple_of_the_fixed_one(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    archive = convert_keras(model, 2, "float32", tmp_path / "model.zip")
    assert answer(archive, np.zeros((6, 4), np.float32)).shape == (6, 3)
    for samples in (1, 5):
        with pytest.raises(Failure) as caught:
            answer(archive, np.zeros((samples, 4), np.float32))
        assert (caught.value.stage, caught.value.symptom) == ("infer", "refused")


def test_batch_sizes_to_choose_from_are_added_up(tmp_path: Path) -> None:
    choices = coremltools.EnumeratedShapes([(size, 4) for size in (1, 4, 8)])
    traced = torch.jit.trace(nn.Linear(4, 3), torch.randn(1, 4))
    given = coremltools.TensorType("input", choices, np.float32)
    archive = save(coremltools.convert(traced, inputs=[given], **target("float32")), tmp_path / "model.zip")
    assert answer(archive, np.zeros((14, 4), np.float32)).shape == (14, 3)


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    archive = convert_torch(Apply(lambda x: x.cumsum(1)), torch.randn(2, 3), "float32", tmp_path / "model.zip")
    with pytest.raises(Failure, match="cumsum") as caught:
        coreml_reference.load(archive, "cpu", 1)
    assert (caught.value.stage, caught.value.symptom) == ("load", "unsupported-operator")


def not_a_zip(_: Path, archive: Path) -> str:
    archive.write_bytes(b"PK, but not a zip archive")
    return "not a packed Core ML package"


def without_weights(package: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in package.rglob("*"):
            if path.name != "weight.bin":
                packed.write(path, path.relative_to(package))
    return "weight.bin"


def with_short_weights(package: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (path for path in package.rglob("*") if path.is_file()):
            data = path.read_bytes()
            packed.writestr(str(path.relative_to(package)), data[:200] if path.suffix == ".bin" else data)
    return "constant of the Core ML package cannot be read"


def with_a_damaged_model(package: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (path for path in package.rglob("*") if path.is_file()):
            data = path.read_bytes()
            packed.writestr(str(path.relative_to(package)), data[:-50] if path.suffix == ".mlmodel" else data)
    return "model cannot be read"


def without_a_manifest(_: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("model.txt", "nothing")
    return "Manifest.json"


def leaving_its_folder(_: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../outside.txt", "nothing")
    return "leaves its folder"


@pytest.mark.parametrize(
    "damage",
    [
        *(not_a_zip, without_weights, with_short_weights, with_a_damaged_model),
        *(without_a_manifest, leaving_its_folder),
    ],
)
def test_a_damaged_package_is_refused(damage: Callable[[Path, Path], str], small: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.zip"
    words = damage(small, archive)
    with pytest.raises(Failure, match=words) as caught:
        coreml_reference.load(archive, "cpu", 1)
    assert (caught.value.stage, caught.value.symptom) == ("load", "refused")
    assert "\n" not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
