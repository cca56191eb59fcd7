from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import PGD, Found
from advprune.attacks.victim import Victim
from advprune.threat import OutsideThreatError, ThreatModel

THREAT = ThreatModel("linf", 0.1)
X, Y = torch.rand(4, 1, 5, 6), torch.tensor([0, 1, 2, 0])


class Explodes(nn.Module):
    """Fails at its second pass."""

    passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        if self.passes == 2:
            raise RuntimeError("second pass")
        return x


def network(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(),
        nn.Linear(48, 3), *more,
    )  # fmt: skip


def state(model: nn.Module) -> Iterator[tuple[str, Tensor, Tensor | None]]:
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        yield name, value.detach().clone(), None if value.grad is None else value.grad.clone()


@pytest.mark.parametrize("explodes", [False, True])
def test_mode_gradients_and_batch_norm_are_left_alone(explodes: bool) -> None:
    model = network(*[Explodes()] * explodes).train()
    model[3].eval()
    weight = model.get_parameter("0.weight")
    weight.grad = torch.ones_like(weight)
    before = list(state(model))
    modes = [module.training for module in model.modules()]
    if explodes:
        with pytest.raises(RuntimeError, match="second pass"):
            PGD(THREAT, steps=3)(model, X, Y)
    else:
        PGD(THREAT, steps=3)(model, X, Y)
    assert [module.training for module in model.modules()] == modes
    for (_, value, gradient), (name, value_before, gradient_before) in zip(
        state(model), before, strict=True
    ):
        assert torch.equal(value, value_before), name
        assert (gradient is None) == (gradient_before is None), name
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_images_given_are_left_alone_and_the_result_has_no_graph() -> None:
    x = X.clone()
    x_adv = PGD(THREAT, steps=3)(network(), x, Y)
    assert torch.equal(x, X)
    assert not x.requires_grad
    assert not x_adv.requires_grad


def test_attack_works_without_gradients_around_it() -> None:
    with torch.no_grad():
        inside = PGD(THREAT, steps=3)(network(), X, Y)
    assert torch.equal(inside, PGD(THREAT, steps=3)(network(), X, Y))


def test_call_and_run_find_the_same() -> None:
    attack = PGD(THREAT, steps=3, restarts=2)
    assert torch.equal(attack(network(), X, Y), attack.run(network(), X, Y).x_adv)


def test_the_audit_stands_behind_every_attack() -> None:
    class Cheats(PGD):
        def _last(self, victim: Victim, x: Tensor, current: Tensor) -> Found:
            return super()._last(victim, 1 - x, current)

    with pytest.raises(OutsideThreatError):
        Cheats(THREAT, keep="last", stop_when_fooled=False)(network(), X, Y)


@pytest.mark.parametrize(
    ("x", "y", "target", "message"),
    [
        (X * 255, Y, None, "normalisation the model's first layer"),
        (X[0], Y, None, "shape"),
        (X, Y[:3], None, r"y is torch.int64 of shape \(3,\)"),
        (X, Y.int(), None, "y is torch.int32"),
        (X, Y + 1, None, r"classes lie in \[1, 3\]; the model answers 3: allowed are 0 to 2"),
        (X, Y, Y - 1, r"classes lie in \[-1, 1\]"),
        (X, Y, Y.float(), "target is torch.float32"),
    ],
)
def test_impossible_images_and_classes_are_refused(
    x: Tensor, y: Tensor, target: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PGD(THREAT, steps=3)(network(), x, y, target=target)


def test_a_model_that_autograd_cannot_follow_is_refused() -> None:
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().flatten(1)

    with pytest.raises(ValueError, match="no gradient with respect to its input"):
        PGD(THREAT, steps=3, stop_when_fooled=False)(Detached(), X, Y)


def test_a_model_that_answers_no_logits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"answers \(4, 1, 5, 6\) to 4 images"):
        PGD(THREAT, steps=3)(nn.Identity(), X, Y)


def test_a_loss_that_needs_more_classes_is_replaced_and_that_is_said() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 2))
    dlr, margin = (
        PGD(THREAT, steps=3, loss=loss).run(model, X, Y % 2) for loss in ("dlr", "margin")
    )
    assert torch.equal(dlr.x_adv, margin.x_adv)
    assert dlr.notes == ("the loss is margin: dlr needs 3 classes, there are 2",)
    assert margin.notes == PGD(THREAT, steps=3, loss="dlr").run(network(), X, Y).notes == ()
