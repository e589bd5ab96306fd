"""The study's networks and the figures that its replication package has of them.

Openja et al., "An Empirical Study of Challenges in Converting Deep Learning Models", ICSME 2022; replication package:
GitHub openjamoses/model-exchange at 8d424ba.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """A network in the package; mappings are by format, without a key where the package has no figure.

    `source_bytes` and `bytes`: sizes of the files, those of Keras's sources with the optimizer's state in them.
    `source_s` and `seconds`: of one first call with a batch of 128. `changed_labels`: share of inputs with another
    label than the source's. `attacked`: share of inputs that FGSM of 0.3 makes the source get wrong, and the
    conversion.
    """

    source_bytes: int
    bytes: Mapping[str, int]
    source_s: float
    seconds: Mapping[str, float]
    changed_labels: Mapping[str, float] = field(default_factory=dict)
    attacked: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def size_ratio(self, format_: str) -> float:
        """Size after conversion over that before."""
        return self.bytes[format_] / self.source_bytes

    def time_ratio(self, format_: str) -> float:
        """Time after conversion over that before."""
        return self.seconds[format_] / self.source_s


def _published(sizes: tuple[int, int, int], seconds: tuple[float, float, float], **more: Any) -> Published:
    """Figures of the source, of ONNX and of Core ML."""
    return Published(
        source_bytes=sizes[0],
        bytes={"onnx": sizes[1], "coreml": sizes[2]},
        source_s=seconds[0],
        seconds={"onnx": seconds[1], "coreml": seconds[2]},
        **more,
    )


PUBLISHED: Mapping[tuple[str, str], Published] = {
    ("lenet5", "keras"): _published(
        (601_864, 572_716, 570_879),
        (0.0566, 0.0076, 0.1035),
        changed_labels={"onnx": 0.0},
        attacked={"coreml": (0.461, 0.905)},
    ),
    ("resnet18", "keras"): _published(
        (89_756_056, 44_688_733, 44_683_940),
        (1.79, 1.46, 0.93),
        changed_labels={"onnx": 0.0},
        attacked={"coreml": (0.438, 0.894)},
    ),
    ("vgg", "keras"): _published((71_945_464, 35_824_198, 35_820_963), (0.938, 0.745, 0.536)),
    ("lstm", "keras"): _published((144_335_973, 48_114_908, 48_166_687), (0.312, 0.314, 2.05)),
    ("gru", "keras"): _published((240_044_817, 47_940_793, 47_992_001), (0.277, 0.314, 2.13)),
    ("lenet5", "pytorch"): _published((252_295, 248_132, 247_604), (0.0072, 0.0068, 0.0731)),
    ("resnet18", "pytorch"): _published(
        (44_813_453, 44_711_969, 44_710_755), (0.352, 0.151, 0.385), attacked={"onnx": (0.799, 0.799)}
    ),
    ("vgg", "pytorch"): _published((515_298_923, 515_232_003, 515_231_092), (77.6, 20.2, 18.8)),
    ("lstm", "pytorch"): _published((3_683_679, 3_683_339, 3_676_730), (3.79, 2.21, 2.26)),
    ("gru", "pytorch"): _published((2_827_615, 2_827_077, 133_902_221), (3.46, 2.22, 57.8)),
}
"""By name and source framework. The two networks of one name are different networks."""

TIMED_BATCH = 128
