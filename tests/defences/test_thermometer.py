import torch

from advprune.defences import Thermometer


def test_a_pixel_becomes_as_many_ones_as_levels_it_exceeds() -> None:
    x = torch.tensor([0.0, 0.25, 0.3, 0.76]).view(4, 1, 1, 1)
    assert Thermometer(4)(x).view(4, 4).tolist() == [
        [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1],
    ]  # fmt: skip


def test_the_ramp_has_the_slope_that_the_steps_lack() -> None:
    code, x = Thermometer(4), torch.full((1, 2, 1, 1), 0.3, requires_grad=True)
    torch.testing.assert_close(code.ramp(x).flatten(), torch.tensor([1, 0.2, 0, 0] * 2))
    (slope,) = torch.autograd.grad(code.ramp(x).sum(), x)
    assert slope.flatten().tolist() == [4.0, 4.0]
