import json

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import Corruption


class Contrasted(nn.Module):
    """Answers 1 where the brightest and the darkest pixel differ by more than 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        far = flat.amax(1) - flat.amin(1) - 0.5
        return torch.stack([-far, far], dim=1)


def test_a_severity_is_enough_and_a_milder_one_is_not() -> None:
    """Differences of 0.8 and 0.9 become 0.6 and 0.675 at 0.75 of the contrast, half at 0.5."""
    x = torch.tensor([[0.1, 0.9], [0.1, 1.0]]).view(2, 1, 1, 2)
    y = torch.ones(2, dtype=torch.int64)
    found = [Corruption("contrast", severity=step).run(Contrasted(), x, y) for step in (1, 2)]
    assert [one.fooled.tolist() for one in found] == [[False, False], [True, True]]
    assert found[0].forward_passes == 2


def test_an_image_has_its_own_noise_in_any_batch() -> None:
    x, y = torch.full((3, 1, 4, 4), 0.5), torch.zeros(3, dtype=torch.int64)
    noisy = Corruption("gaussian_noise", severity=3)
    whole = noisy(Contrasted(), x, y, generator=torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    parts = [noisy(Contrasted(), x[:2], y[:2], generator=generator)]
    parts += [noisy(Contrasted(), x[2:], y[2:], generator=generator)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole[0], whole[1])


def test_what_is_done_is_told_and_unknown_kinds_refused() -> None:
    told = Corruption("jpeg", severity=2).describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["kind"], told["severity"], told["eps"]) == ("jpeg", 2, None)
    with pytest.raises(ValueError, match=r"corruption 'jpg'.*'jpeg'"):
        Corruption("jpg", severity=1)
    with pytest.raises(ValueError, match="severity=6"):
        Corruption("jpeg", severity=6)
