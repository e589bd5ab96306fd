"""The constants of an ML Program, from the program itself or from the package's weights."""

from pathlib import PurePosixPath

import numpy as np
import torch
from coremltools.converters.mil.frontend.milproto.load import TranscriptionContext, _load_value
from coremltools.proto import MIL_pb2

from runners.adapters._mil.package import Package, refusal
from runners.adapters._mil.tensors import DTYPES, Value
from runners.failure import words


class Constants:
    """Reads constants for as long as the package's folder exists."""

    def __init__(self, package: Package) -> None:
        self._weights = package.weights
        self._context = TranscriptionContext(str(package.weights))

    def read(self, value: MIL_pb2.Value) -> Value:
        """A constant of the program, read from the weights file where it does not stand in the program itself.

        Raises:
            Failure: (load, refused) the weights file is missing or does not hold it.
        """
        if value.WhichOneof("value") == "blobFileValue":
            name = PurePosixPath(value.blobFileValue.fileName).name
            if not (self._weights / name).is_file():
                raise refusal(f"the Core ML package lacks its weights file {name!r}")
        try:
            loaded = np.asarray(_load_value(self._context, value))
            if loaded.dtype.kind in "US":
                return str(loaded) if loaded.ndim == 0 else tuple(str(item) for item in loaded.flat)
            return torch.from_numpy(np.array(loaded)).to(DTYPES[value.type.tensorType.dataType])
        except (RuntimeError, ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise refusal(f"a constant of the Core ML package cannot be read ({words(error)})") from error
