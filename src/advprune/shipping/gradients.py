"""Which network's gradients stand in for those that an exported file does not have."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from advprune.shipping.onnx_graph import OnnxNetwork
from advprune.shipping.openvino_graph import OpenVinoNetwork
from advprune.shipping.steps import UnknownOperatorError


def stand_in(path: str | Path, twin: nn.Module | None = None) -> nn.Module:
    """The network whose gradients are nearest to an exported file's, in evaluation mode.

    For `attacks.backward_as`, whose answers stay the runtime's to the bit; the result of an
    evaluation says whose gradients they were:

        with backward_as(Shipped(path), {"": stand_in(path, twin)}) as file:
            evaluate(file, data, threat, "shipped")

    Args:
        path: The file. An ONNX or OpenVINO one, float32 or int8, is computed by torch and so has
            its own.
        twin: The network that it was exported from, for other kinds, and for files with an
            operator that is not known here.

    Raises:
        ValueError: If the file has no gradients of its own and there is no twin, or a package is
            missing that reads it.
    """
    suffix = Path(path).suffix
    if suffix in OWN:
        try:
            return OWN[suffix](path).eval()
        except UnknownOperatorError as unknown:
            if twin is None:
                raise
            return Twin(twin, f"its twin, for torch has no {unknown.kind} here").eval()
    if twin is None:
        raise ValueError(
            f"{path} has no gradients of its own: give the saved model that it was exported from, "
            "with --twin on the command line"
        )
    return Twin(twin, f"its twin, as of every {suffix} file").eval()


class Twin(nn.Module):
    """The network that a file was exported from, and why its gradients are taken.

    Attributes:
        network: It.
        whose: For the result of an evaluation.
    """

    def __init__(self, network: nn.Module, whose: str) -> None:
        super().__init__()
        self.network, self.whose = network, whose

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.network(images)
        return logits


OWN: dict[str, Callable[[str | Path], nn.Module]] = {
    ".onnx": OnnxNetwork,
    ".xml": OpenVinoNetwork,
}
"""Files that torch computes, by their suffix."""
