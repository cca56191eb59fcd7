import pytest
from torch import Tensor, nn


class Counts:
    """Examples that really went forward and backward through a model."""

    def __init__(self, model: nn.Module) -> None:
        self.forward = self.backward = 0
        model.register_forward_hook(self._went)

    def _went(self, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self.forward += len(inputs[0])
        if output.requires_grad:
            output.register_hook(self._returned)  # type: ignore[no-untyped-call]

    def _returned(self, gradient: Tensor) -> None:
        self.backward += len(gradient)


@pytest.fixture
def counting() -> type[Counts]:
    """What counts the passes of the model that it is given."""
    return Counts
