import pytest
import torch
from torch import Tensor

from advprune.corruptions import CORRUPTIONS, SEVERITIES
from advprune.corruptions.blur import defocus_blur, gaussian_blur, motion_blur, zoom_blur
from advprune.corruptions.coding import jpeg, pixelate
from advprune.corruptions.light import brightness, contrast
from advprune.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from advprune.corruptions.warping import warped


def grey(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def point(side: int = 9) -> Tensor:
    """One white pixel in the middle of black."""
    x = torch.zeros(1, 1, side, side)
    x[0, 0, side // 2, side // 2] = 1
    return x


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_stay_images_of_their_shape_and_severity_hurts(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((6, 1, 8, 8), (2, 3, 7, 10)):
        x, noise = (torch.rand(shape, generator=generator) for _ in range(2))
        x = 0.1 + 0.6 * x
        changes = []
        for severity in SEVERITIES:
            changed = CORRUPTIONS[name](x, noise, severity)
            assert changed.shape == x.shape
            assert changed.dtype == x.dtype
            assert 0 <= changed.min() <= changed.max() <= 1
            changes.append((changed - x).abs().mean().item())
        assert 0 < changes[0] < changes[-1], changes
        assert torch.equal(
            CORRUPTIONS[name](x[1:], noise[1:], 3), CORRUPTIONS[name](x, noise, 3)[1:]
        )


def test_noise_moves_by_normal_deviates() -> None:
    x, noise = grey(0.5, 0.5, 0.5), grey(0.5, 0.8413447, 0.1586553)
    torch.testing.assert_close(gaussian_noise(x, noise, 5), grey(0.5, 0.6, 0.4))
    torch.testing.assert_close(speckle_noise(x, noise, 5), grey(0.5, 0.6, 0.4))


def test_shot_noise_counts_photons() -> None:
    """P(0) = exp(-1) = 0.368, P(0 or 1) = 0.736 for a mean of one photon of fifty."""
    x = torch.full((1, 1, 1, 3), 0.02)
    torch.testing.assert_close(shot_noise(x, grey(0.3, 0.5, 0.8), 5), grey(0.0, 0.02, 0.04))


def test_impulses_are_black_and_white_and_spare_the_rest() -> None:
    x, noise = grey(0.3, 0.3, 0.3), grey(0.034, 0.036, 0.071)
    assert torch.equal(impulse_noise(x, noise, 5), grey(0.0, 1.0, 0.3))


def test_blur_spreads_a_point_by_its_kernel() -> None:
    blurred = gaussian_blur(point(), point(), 5)
    centre, side = blurred[0, 0, 4, 4], blurred[0, 0, 4, 5]
    torch.testing.assert_close(side / centre, torch.tensor(0.6065307), rtol=1e-4, atol=0)
    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0))
    cross = defocus_blur(point(), point(), 4)[0, 0, 3:6, 3:6]
    expected = torch.tensor([[0.0, 0.2, 0.0], [0.2, 0.2, 0.2], [0.0, 0.2, 0.0]])
    torch.testing.assert_close(cross, expected, rtol=0, atol=1e-4)


def test_motion_follows_the_images_own_direction() -> None:
    still = torch.full((1, 1, 9, 9), 0.5)  # horizontally
    moved = motion_blur(point(), still, 1)[0, 0]
    weights = torch.exp(-torch.arange(5.0).square() / 2)
    torch.testing.assert_close(moved[4, 4:], weights / weights.sum(), rtol=1e-3, atol=1e-3)
    assert moved[:4].abs().max() < 1e-6
    fallen = motion_blur(point(), torch.ones(1, 1, 9, 9), 1)[0, 0]
    assert fallen[5:].sum() > 0.1


def test_zoom_leaves_the_centre_and_lengthens_the_rest() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[:, :, :, 8] = 1
    changed = zoom_blur(x, x, 5)[0, 0, 4]
    assert changed[4] == 0
    assert changed[8] > 0.5
    even = torch.full((1, 1, 4, 4), 0.3)
    torch.testing.assert_close(zoom_blur(even, even, 3), even)


def test_light_by_hand() -> None:
    torch.testing.assert_close(brightness(grey(0.0, 0.5, 0.9), grey(0), 5), grey(0.3, 0.8, 1.0))
    colour = torch.tensor([0.4, 0.2, 0.0]).view(1, 3, 1, 1)
    expected = torch.tensor([0.6, 0.3, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(brightness(colour, colour, 4), expected)
    torch.testing.assert_close(contrast(grey(0.2, 0.6), grey(0), 2), grey(0.3, 0.5))


def test_pixels_become_means_over_areas() -> None:
    """Four pixels become three of 4/3: the first and a third of the second, and so on."""
    x = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 1, 4, 4)
    row = pixelate(x, x, 4)[0, 0, 0]
    torch.testing.assert_close(row, torch.tensor([0.75, 0.0, 0.0, 0.0]))


def test_jpeg_leaves_even_images_nearly_and_mixes_others() -> None:
    even = torch.full((2, 3, 16, 16), 100 / 255)
    assert (jpeg(even, even, 1) - even).abs().max() <= 2 / 255
    assert 0.005 < (jpeg(point(16), point(16), 5) - point(16)).abs().mean() < 0.1


def test_images_turn_anticlockwise_and_shift_right_and_down() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 4] = 1  # right of the centre

    def place(image: Tensor) -> list[list[int]]:
        return (image[0, 0] > 0.9).nonzero().tolist()

    assert place(warped(x, degrees=90)) == [[0, 2]]
    assert place(warped(x, right=-2, down=1)) == [[3, 2]]
    assert place(warped(x, degrees=90, right=1, down=1)) == [[1, 3]]
    both = warped(x.expand(2, 1, 5, 5), right=torch.tensor([0.0, 1.0]))
    assert both[0].max() == 1
    assert both[1].max() == 0
    wide = torch.zeros(1, 1, 3, 5)
    wide[0, 0, 1, 3] = 1
    assert place(warped(wide, degrees=90)) == [[0, 2]]
