import copy

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import Fixed, GatedModel
from advprune.structure import recalibrate


def norm_of(model: nn.Module, name: str) -> nn.BatchNorm2d:
    found = model.get_submodule(name)
    assert isinstance(found, nn.BatchNorm2d)
    return found


def test_statistics_are_those_of_the_images(chain: GatedModel, images: Tensor) -> None:
    recalibrate(chain, [images])
    before = chain.model.get_submodule("conv1")(images)
    norm = norm_of(chain.model, "bn1")
    torch.testing.assert_close(norm.running_mean, before.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, before.transpose(0, 1).flatten(1).var(1))


def test_every_image_weighs_the_same_in_uneven_batches(chain: GatedModel, images: Tensor) -> None:
    recalibrate(chain, [images[:4], images[4:]])
    before = chain.model.get_submodule("conv1")(images)
    torch.testing.assert_close(norm_of(chain.model, "bn1").running_mean, before.mean((0, 2, 3)))


def test_statistics_are_those_behind_the_expected_gates(
    residual: GatedModel, images: Tensor
) -> None:
    gate = residual.gates["stem"]
    assert isinstance(gate, Fixed)
    gate.values.copy_(torch.tensor([0.0, 0.5, 1.0, 0.25]))
    seen: list[Tensor] = []
    block = residual.model.get_submodule("same.conv1")
    block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    recalibrate(residual.train(), [images])
    norm = norm_of(residual.model, "same.bn1")
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)))
    residual.eval()(images)
    assert not torch.allclose(seen[1], block(torch.rand(5, 4, 4, 4)))


def test_modes_momentum_and_gradients_are_left(residual: GatedModel, images: Tensor) -> None:
    residual.train()
    norm_of(residual.model, "bn").eval()
    modes = [module.training for module in residual.modules()]
    recalibrate(residual, [images])
    assert [module.training for module in residual.modules()] == modes
    assert norm_of(residual.model, "bn").momentum == 0.1
    with pytest.raises(RuntimeError):
        recalibrate(residual, [torch.rand(2, 9, 4, 4)])
    assert [module.training for module in residual.modules()] == modes
    assert norm_of(residual.model, "bn").momentum == 0.1


def test_no_images_are_an_error_and_change_nothing(chain: GatedModel) -> None:
    before = copy.deepcopy(chain.state_dict())
    with pytest.raises(ValueError, match="no images"):
        recalibrate(chain, [])
    assert all(torch.equal(value, before[name]) for name, value in chain.state_dict().items())


def test_a_model_without_batch_norm_is_left_alone() -> None:
    recalibrate(nn.Linear(2, 2), [torch.rand(1, 7)])  # images that it could not even read
