import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel, paired


class Noisy(nn.Module):
    """Every kind of noise that torch's layers have, and batch norm."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5, inplace=inplace)
        self.channels = nn.Dropout2d(0.5)
        self.alpha = nn.AlphaDropout(0.3)
        self.slope = nn.RReLU()
        self.fc = nn.Linear(48, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channels(torch.relu(self.dropout(self.bn(self.conv(x)))))
        x = functional.dropout(self.slope(self.alpha(x)).flatten(1), 0.5, self.training)
        logits: Tensor = self.fc(torch.dropout(x, 0.1, self.training))
        return logits


def test_equal_halves_get_equal_logits_in_train_mode(
    learned_chain: GatedModel, images: Tensor
) -> None:
    logits, same = paired(learned_chain.train(), images, images)
    assert torch.equal(logits, same)
    again, _ = paired(learned_chain, images, images)
    assert not torch.equal(again, logits)  # the next pass draws anew
    assert learned_chain.board.copies == 1


@pytest.mark.parametrize("inplace", [False, True])
def test_the_halves_share_dropout(images: Tensor, inplace: bool) -> None:
    model = Noisy(inplace).train()
    logits, same = paired(model, images, images)
    assert torch.equal(logits, same)
    assert not torch.equal(paired(model, images, images)[0], logits)
    torch.autograd.backward((logits - same).square().sum())


def test_different_images_of_one_batch_do_not_share_dropout() -> None:
    class Drop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5)

    ones = torch.ones(2, 100)
    first, second = paired(Drop(), ones, ones)
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_batch_norm_is_updated_once_from_both_halves(chain: GatedModel, images: Tensor) -> None:
    bn = chain.model.get_submodule("bn1")
    conv1 = chain.model.get_submodule("conv1")
    assert isinstance(bn, nn.BatchNorm2d)
    assert bn.running_mean is not None
    assert bn.num_batches_tracked is not None
    bn.momentum, before = 1.0, int(bn.num_batches_tracked)
    paired(chain.train(), images, images + 1)
    joint = conv1(torch.cat([images, images + 1])).mean((0, 2, 3))
    assert int(bn.num_batches_tracked) == before + 1
    torch.testing.assert_close(bn.running_mean, joint)


def test_in_eval_mode_both_halves_are_as_if_alone(gated: GatedModel, images: Tensor) -> None:
    logits, other = paired(gated, images, 1 - images)
    torch.testing.assert_close(logits, gated(images))
    torch.testing.assert_close(other, gated(1 - images))


def test_gates_are_unpaired_again_after_an_exception(
    learned_chain: GatedModel, images: Tensor
) -> None:
    with pytest.raises(RuntimeError):
        paired(learned_chain, images, torch.rand(5, 2, 4, 4))
    assert learned_chain.board.copies == 1
    assert learned_chain.train()(images).shape == (5, 3)
