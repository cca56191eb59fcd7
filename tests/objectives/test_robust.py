from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel, paired
from advprune.latent import record
from advprune.objectives import OBJECTIVES, Batch, Coefficients, Losses, Objective
from advprune.objectives.robust import ADVERSARIAL, madry
from advprune.vulnerability import mean_distortion

Y = torch.tensor([0, 1, 2, 0, 1])
ALL = Coefficients(
    adversarial_weight=2.0, vulnerability_weight=3.0, beta=4.0, examples=50, gate_clean_weight=0.0
)


adversarial, anp = ADVERSARIAL.train, ADVERSARIAL.prune


def adversary(x: Tensor, y: Tensor, /, away_from: object = None) -> Tensor:
    assert away_from is None
    return (x + 0.1 * (y + 1).view(-1, 1, 1, 1)).clamp(0, 1)


def terms(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns clean and adversarial cross-entropy and V."""
    with record(model, x) as features:
        logits, logits_adv = paired(model, x, adversary(x, Y))
    vulnerability = mean_distortion(model, features)
    return (
        functional.cross_entropy(logits, Y),
        functional.cross_entropy(logits_adv, Y),
        vulnerability,
    )


def seeded(objective: Objective, model: nn.Module, x: Tensor, settings: Coefficients) -> Losses:
    torch.manual_seed(5)
    return objective(model, Batch(x, Y), adversary, settings)


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(
        loss, list(parameters), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return list(found)


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.fixture
def gated(learned_chain: GatedModel) -> GatedModel:
    return learned_chain.train()


def test_adversarial_training_weighs_two_to_one_by_default(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = make_chain().eval()
    losses = adversarial(model, Batch(images, Y), adversary, Coefficients())
    clean = functional.cross_entropy(model(images), Y)
    attacked = functional.cross_entropy(model(adversary(images, Y)), Y)
    torch.testing.assert_close(losses.weights, (clean + 2 * attacked) / 3)
    torch.testing.assert_close(losses.parts["clean_loss"], clean.detach())
    torch.testing.assert_close(losses.parts["adversarial_loss"], attacked.detach())
    hits = (model(adversary(images, Y)).argmax(1) == Y).sum().item()
    assert losses.parts["adversarial_accuracy"].item() == pytest.approx(hits / 5)
    assert losses.gates is None
    assert "vulnerability" not in losses.parts


def test_every_term_of_anp_is_where_it_belongs(gated: GatedModel, images: Tensor) -> None:
    losses = seeded(anp, gated, images, ALL)
    torch.manual_seed(5)
    clean, attacked, vulnerability = terms(gated, images)
    torch.testing.assert_close(losses.weights, (clean + 2 * attacked) / 3 + 3 * vulnerability)
    assert losses.gates is not None
    torch.testing.assert_close(losses.gates, attacked + 4 * gated.kl() / 50)
    torch.testing.assert_close(losses.parts["kl"], (4 * gated.kl() / 50).detach())
    torch.testing.assert_close(losses.parts["vulnerability"], vulnerability.detach())
    assert not any(part.requires_grad or part.dim() for part in losses.parts.values())


def test_the_gates_learn_from_attacked_images_and_the_divergence_alone(
    gated: GatedModel, images: Tensor
) -> None:
    gates = gated.gate_parameters()
    losses = seeded(anp, gated, images, ALL)
    torch.manual_seed(5)
    _, attacked, vulnerability = terms(gated, images)
    assert losses.gates is not None
    assert_equal(gradients(losses.gates, gates), gradients(attacked + 4 * gated.kl() / 50, gates))
    assert any(bool(g.abs().sum() > 0) for g in gradients(vulnerability, gates))  # it could


def test_clean_images_and_vulnerability_train_the_gates_on_request(
    gated: GatedModel, images: Tensor
) -> None:
    gates = gated.gate_parameters()
    asked = replace(ALL, gate_clean_weight=0.5, vulnerability_trains_gates=True)
    losses = seeded(anp, gated, images, asked)
    torch.manual_seed(5)
    clean, attacked, vulnerability = terms(gated, images)
    expected = attacked + 0.5 * clean + 4 * gated.kl() / 50 + 3 * vulnerability
    assert losses.gates is not None
    assert_equal(gradients(losses.gates, gates), gradients(expected, gates))


def test_the_divergence_does_not_train_the_weights(gated: GatedModel, images: Tensor) -> None:
    weights = gated.weight_parameters()
    assert all(not bool(g.any()) for g in gradients(gated.kl(), weights))
    with_it = seeded(anp, gated, images, ALL)
    without = seeded(anp, gated, images, replace(ALL, beta=0.0))
    assert_equal(gradients(with_it.weights, weights), gradients(without.weights, weights))


def test_the_divergence_may_be_weighted_by_unit(gated: GatedModel, images: Tensor) -> None:
    weight = torch.zeros(12)
    weight[0] = 5.0
    losses = seeded(anp, gated, images, replace(ALL, unit_weights=weight))
    kl = 4 * 5 * gated.gates["conv1"].kl_per_unit()[0] / 50
    torch.testing.assert_close(losses.parts["kl"], kl.detach())


def test_vulnerability_is_suppressed_without_gates_too(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = make_chain().eval()
    losses = adversarial(model, Batch(images, Y), adversary, Coefficients(vulnerability_weight=3.0))
    clean, attacked, vulnerability = terms(model, images)
    torch.testing.assert_close(losses.weights, (clean + 2 * attacked) / 3 + 3 * vulnerability)


def test_adversarial_images_alone_go_through_one_pass(
    make_chain: type[nn.Module], images: Tensor
) -> None:
    model = make_chain().train()
    sizes: list[int] = []
    model.get_submodule("conv1").register_forward_pre_hook(lambda _m, x: sizes.append(len(x[0])))
    losses = madry(model, Batch(images, Y), adversary, Coefficients())
    assert sizes == [5]
    expected = functional.cross_entropy(model(adversary(images, Y)), Y)
    torch.testing.assert_close(losses.weights, expected)


def test_training_gates_takes_a_gated_model(make_chain: type[nn.Module], images: Tensor) -> None:
    for name in ("anp", "bayesian_pruning"):
        with pytest.raises(ValueError, match="trains gates, but Chain has none"):
            OBJECTIVES[name](make_chain(), Batch(images, Y), adversary, Coefficients())
