import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD, backward_as, identity
from advprune.threat import ThreatModel

X = torch.tensor([0.26, 0.74]).view(2, 1, 1, 1)


class Rounds(nn.Module):
    """Rounds to tenths by way of an array: autograd cannot follow, nor could it be run."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy((x.numpy() * 10).round() / 10)


class Net(nn.Module):
    """Logits ±(round(x) - 0.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.ModuleDict({"squeeze": Rounds()})

    def forward(self, x: Tensor) -> Tensor:
        score = self.front["squeeze"](x).flatten(1) - 0.5
        return torch.cat([-score, score], dim=1)


def test_forward_is_the_layers_and_backward_the_stand_ins() -> None:
    model, x = Net(), X.clone().requires_grad_()
    with backward_as(model, {"front.squeeze": lambda x: x**2}):
        logits = model(x)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), x)
        with torch.no_grad():
            assert torch.equal(model(X), logits)
    assert torch.equal(logits, Net()(X))
    torch.testing.assert_close(gradient, 2 * X)


def test_an_attack_that_was_blind_sees() -> None:
    model, y = Net(), torch.tensor([0, 1])
    attack = PGD(ThreatModel("linf", 0.3), steps=10)
    with backward_as(model, {"front.squeeze": identity}):
        assert attack.run(model, X, y).fooled.all()
    with pytest.raises((RuntimeError, ValueError), match="grad"):
        attack.run(model, X, y)


def test_layers_inside_each_other_and_the_model_itself_are_replaced() -> None:
    model = nn.Sequential(nn.Sequential(nn.Hardtanh(), nn.Linear(1, 1, bias=False)))
    x = torch.full((1, 1), 9.0, requires_grad=True)
    weight = model.get_parameter("0.1.weight").item()
    with backward_as(model, {"0.0": identity}):
        assert torch.autograd.grad(model(x), x)[0].item() == pytest.approx(weight)
    with backward_as(model, {"": lambda x: 3 * x, "0.0": identity}):
        assert torch.autograd.grad(model(x), x)[0].item() == 3.0


def test_the_model_is_put_back_after_an_exception_too() -> None:
    model = Net()
    before = [dict(module.__dict__) for module in model.modules()]

    def fail() -> None:
        with backward_as(model, {"front.squeeze": identity}):
            with backward_as(model, {"front.squeeze": torch.sin}):
                pass
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert [dict(module.__dict__) for module in model.modules()] == before


def test_unknown_layers_and_other_shapes_are_refused() -> None:
    with (
        pytest.raises(ValueError, match=r"no layer 'squeeze'; .*'front.squeeze'"),
        backward_as(Net(), {"squeeze": identity}),
    ):
        pass
    model = Net()
    with (
        pytest.raises(
            ValueError, match=r"gives \(2, 1\); allowed is the layer's own \(2, 1, 1, 1\)"
        ),
        backward_as(model, {"front.squeeze": lambda x: x.flatten(1)}),
    ):
        model(X)
