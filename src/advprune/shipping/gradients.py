"""Which network's gradients stand in for those that an exported file does not have."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from advprune.shipping.onnx_graph import OnnxNetwork
from advprune.shipping.openvino_graph import OpenVinoNetwork


def stand_in(path: str | Path, twin: nn.Module | None = None) -> nn.Module:
    """The network whose gradients are nearest to an exported file's, in evaluation mode.

    For `attacks.backward_as`, whose answers stay the runtime's to the bit:

        with backward_as(Shipped(path), {"": stand_in(path, twin)}) as file:
            evaluate(file, data, threat, "shipped")

    Args:
        path: The file. An ONNX or OpenVINO one, float32 or int8, is computed by torch and so has
            its own.
        twin: The network that it was exported from, for other kinds, and for files with an
            operator that is not known here.

    Raises:
        ValueError: If the file has no gradients of its own and there is no twin.
    """
    own = OWN.get(Path(path).suffix)
    if own is not None:
        try:
            return own(path).eval()
        except ValueError:
            if twin is None:
                raise
    if twin is None:
        raise ValueError(
            f"{path} has no gradients of its own: give the saved model that it was exported from, "
            "with --twin on the command line"
        )
    return twin.eval()


OWN: dict[str, Callable[[str | Path], nn.Module]] = {
    ".onnx": OnnxNetwork,
    ".xml": OpenVinoNetwork,
}
"""Files that torch computes, by their suffix."""
