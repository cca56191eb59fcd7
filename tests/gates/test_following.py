import torch
from torch import Tensor
from torch.nn import functional

from advprune.gates import GatedModel, remove_dead

Y = torch.tensor([0, 1, 2, 0, 1])


def step(gated: GatedModel, optimiser: torch.optim.Optimizer, x: Tensor) -> None:
    optimiser.zero_grad()
    torch.autograd.backward(functional.cross_entropy(gated(x), Y))
    optimiser.step()


def test_optimiser_schedule_and_average_follow_a_removal(chain: GatedModel, images: Tensor) -> None:
    optimiser = torch.optim.Adam(chain.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, gamma=0.5)
    step(chain.train(), optimiser, images)
    schedule.step()
    average = {name: value.detach().clone() for name, value in chain.named_parameters()}
    name = "model.conv2.weight"
    moment = optimiser.state[chain.get_parameter(name)]["exp_avg"]
    chain.gates["conv1"].close(torch.tensor([False, True, False]))
    expected = chain.eval()(images)
    assert remove_dead(chain, optimiser, [average]) == 1
    assert torch.equal(chain(images), expected)
    weight = chain.get_parameter(name)
    assert torch.equal(optimiser.state[weight]["exp_avg"], moment[:, [0, 2]])
    assert {name: value.shape for name, value in chain.named_parameters()} == {
        name: value.shape for name, value in average.items()
    }
    before = weight.detach().clone()
    step(chain.train(), optimiser, images)
    schedule.step()
    assert not torch.equal(chain.get_parameter(name), before)
    assert optimiser.param_groups[0]["lr"] == 0.025
    assert len(optimiser.state) == len(list(chain.parameters()))


def test_where_nothing_is_dead_nothing_changes(chain: GatedModel) -> None:
    before = list(chain.parameters())
    assert remove_dead(chain) == 0
    assert all(new is old for new, old in zip(chain.parameters(), before, strict=True))
