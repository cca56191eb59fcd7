import math

import pytest
import torch
from torch import Tensor, nn

from advprune.defences import PixelCNN, PixelDefend


class Copier(nn.Module):
    """Of three levels, finds that of the pixel to the left likeliest; at the left border 1."""

    def forward(self, x: Tensor) -> Tensor:
        left = torch.cat([torch.ones_like(x[..., :1]), x[..., :-1]], dim=3)[:, 0]
        return -(left[:, None] - torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)).abs()


def test_each_pixel_becomes_the_likeliest_level_within_reach() -> None:
    x = torch.tensor([[0.6, 0.2, 0.9], [0.4, 0.1, 0.55]]).view(1, 1, 2, 3)
    # 0.6 reaches 1/2 and 1, 1 is likelier; then 0.2 reaches 0 and 1/2, and 1 wants 1/2, and so on
    found = PixelDefend(Copier(), 3, 0.45)(x)
    torch.testing.assert_close(found.flatten(), torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5, 0.5]))
    rounded = PixelDefend(Copier(), 3, 0.26)(torch.tensor([[0.6, 0.2, 0.9]]).view(1, 1, 1, 3))
    assert rounded.flatten().tolist() == [0.5, 0.0, 1.0]


def test_its_gradient_is_zero_and_a_radius_without_levels_is_refused() -> None:
    x = torch.full((1, 1, 2, 2), 0.4, requires_grad=True)
    (gradient,) = torch.autograd.grad(PixelDefend(Copier(), 3, 0.3)(x).sum(), x)
    assert not gradient.any()
    with pytest.raises(ValueError, match=r"radius=0.2 with 3 levels; .* from 0.25"):
        PixelDefend(Copier(), 3, 0.2)


def test_a_pixel_is_expected_from_those_before_it_alone() -> None:
    torch.manual_seed(0)
    density, x = PixelCNN(4, width=4), torch.rand(1, 1, 5, 5)
    changed = x.clone()
    changed[0, 0, 2, 3] += 1.0
    moved = (density(changed) - density(x)).abs().amax(1)[0] > 0
    assert not moved[:2].any()
    assert not moved[2, :4].any()
    assert moved[2, 4]
    assert moved[3:].any()


def test_surprise_is_bits_a_pixel_of_the_rounded_image() -> None:
    density = PixelCNN(4)
    last = density.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, math.log(5.0)]))  # 1/8, 1/8, 1/8, 5/8
    x = torch.tensor([[0.0, 0.3], [0.7, 0.9]]).view(1, 1, 2, 2)
    expected = (3 * 3 + math.log2(8 / 5)) / 4
    torch.testing.assert_close(density.surprise(x), torch.tensor([expected]))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(density.surprise(x).sum(), x)
    slope = -3 * math.log2(5.0) / 4  # between levels 2 and 3, over a third
    torch.testing.assert_close(gradient.flatten()[2:], torch.tensor([slope, slope]))
    assert not gradient.flatten()[1:2].any()
