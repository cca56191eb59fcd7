from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.structure import UnsupportedModelError
from advprune.structure.graph import export
from advprune.structure.network import graph_network

IMAGES = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Scaled(nn.Module):
    """Scales the logits by what some function makes of the images."""

    def __init__(self, scale: Callable[[Tensor], Tensor | float]) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * self.scale(x)


def bright(x: Tensor) -> float:
    if x.mean() > 0.5:
        return 2.0
    return 1.0


def settled(x: Tensor) -> Tensor:
    while x.norm() > 1:
        x = x / 2
    return x.mean()


@pytest.mark.parametrize(
    ("scale", "line"), [(bright, r"if x\.mean\(\) > 0\.5:"), (settled, r"while x\.norm\(\) > 1:")]
)
def test_flow_that_depends_on_the_images_is_refused_with_its_line(
    scale: Callable[[Tensor], Tensor | float], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    place = rf"\(File .*test_graph\.py\", line \d+, in {scale.__name__}: {line}\)"
    with pytest.raises(UnsupportedModelError, match=place) as refused:
        export(Scaled(scale), IMAGES)
    assert str(refused.value).endswith("depends on the images' values, which no graph holds")
    assert capfd.readouterr() == ("", "")  # neither do torch's graphs and hints fill the screen


@pytest.mark.parametrize(
    "scale", [lambda x: x[x > 2].sum() + 1, lambda x: (x > 2).nonzero().float().sum() + 1]
)
def test_a_size_that_depends_on_the_images_is_refused_with_its_place(
    scale: Callable[[Tensor], Tensor | float],
) -> None:
    told = r"cannot export operator '.*' .*test_graph\.py.*: the size of what it gives depends"
    with pytest.raises(UnsupportedModelError, match=told):
        export(Scaled(scale), IMAGES)


def test_an_operator_that_no_graph_may_hold_is_named() -> None:
    def rounded(x: Tensor) -> Tensor:
        whole: Tensor = torch.fake_quantize_per_tensor_affine(x, 0.1, 0, 0, 255)
        return whole.mean()

    with pytest.raises(UnsupportedModelError, match=r"in rounded: .*'aten\.fake_quantize"):
        export(Scaled(rounded), IMAGES)


def test_an_operator_that_no_stored_graph_may_use_is_named_with_its_place() -> None:
    def waves(x: Tensor) -> Tensor:
        waves: Tensor = torch.fft.fft(x)
        return waves.abs().mean()

    told = r"cannot store operator 'aten\._fft_r2c\.default' in the model's forward \(File .*line"
    with pytest.raises(UnsupportedModelError, match=told):
        graph_network(Scaled(waves), IMAGES)


def test_a_recurrent_layer_is_no_obstacle() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.fc = nn.LSTM(12, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            read = self.rows(x.transpose(1, 2).flatten(2))[0]
            logits: Tensor = self.fc(functional.relu(read[:, -1]))
            return logits

    model = Rows().eval()
    torch.testing.assert_close(graph_network(model, IMAGES)(IMAGES), model(IMAGES))
