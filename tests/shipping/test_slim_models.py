"""What slim makes can be saved and comes back."""

from pathlib import Path

import pytest
import torch

from advprune.evaluation import cost
from advprune.gates import gate
from advprune.models import build
from advprune.pruning import slim
from advprune.shipping import load, save


@pytest.mark.parametrize("per_position", [(), ("f1",)])
def test_a_slimmed_lenet_comes_back(tmp_path: Path, per_position: tuple[str, ...]) -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    gated = gate(build("lenet5_caffe"), images, per_position=per_position)
    for one in gated.gates.values():
        one.close(torch.arange(0, one.units, 2))
    small = slim(gated, images).eval()
    again = load(save(small, tmp_path / "model", input_shape=[1, 28, 28]))
    assert torch.equal(again(images), small(images))
    assert cost(again, images) == cost(small, images)
    assert cost(again, images).macs < cost(gated, images).macs / 2
