import torch
from torch import nn

from advprune.models import ResNet18


def test_it_has_the_known_number_of_parameters() -> None:
    with torch.device("meta"):
        model = ResNet18()
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962


def test_the_stem_keeps_the_size_and_three_stages_halve_it() -> None:
    model = ResNet18(width=1 / 16)
    x = model.conv1(torch.rand(2, 3, 32, 32))
    sizes = [x.shape[-1]]
    for block in model.blocks:
        x = block(x)
        sizes.append(x.shape[-1])
    assert sizes == [32, 32, 32, 16, 16, 8, 8, 4, 4]


def test_the_first_stage_needs_no_projection() -> None:
    kinds = [type(block.shortcut) for block in ResNet18(width=1 / 16).blocks]
    assert [kind is nn.Sequential for kind in kinds] == [False, False, *(True, False) * 3]


def test_a_block_with_dead_convolutions_passes_its_input_through_relu() -> None:
    block = ResNet18(width=1 / 16).blocks[0].eval()
    assert isinstance(block.bn2, nn.BatchNorm2d)
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x.clamp(min=0))
