from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.training import Training, phases
from advprune.training.adversary import Attacker, Replaying, Sampled, eps_share
from advprune.training.state import Run

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]


def _eight(run: Run) -> tuple[Tensor, Tensor]:
    return run.splits.train.subset(range(8)).tensors()


def test_eps_rises_from_the_first_step_to_its_full_size(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"epochs": 3, "eps_warmup_epochs": 2}))
    state = phases.first(run)
    assert eps_share(run, state) == pytest.approx(1 / 12)  # 6 steps an epoch
    state.position.epoch = 2
    assert eps_share(run, state) == 1


def test_the_attack_meets_the_network_as_it_would_ship(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"on": "gated", "objective": "anp"}))
    state = phases.first(run)
    x, _ = run.splits.train.subset(range(4)).tensors()
    victim = Attacker(run, state)._victim()
    assert not isinstance(victim, GatedModel)
    with torch.no_grad():
        assert torch.allclose(victim(x), state.model.eval()(x), atol=1e-6)


def test_one_step_of_size_eps_from_the_image_is_the_fast_gradient_sign_method(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    attack = {"steps": 1, "step_size": 0.1, "random_start": False}
    run = make_run(make_settings({"objective": "adversarial", "attack": attack}))
    state = phases.first(run)
    x, y = _eight(run)
    pixels = x.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(state.model.eval()(pixels), y)
    (gradient,) = torch.autograd.grad(loss, pixels)
    expected = (x + 0.1 * gradient.sign()).clamp(0, 1)
    assert torch.allclose(Attacker(run, state)(x, y), expected, atol=1e-6)


def test_moving_away_from_itself_raises_the_divergence_from_the_clean_answer(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"objective": "trades", "attack": {"steps": 5}}))
    state = phases.first(run)
    x, y = _eight(run)
    model = state.model.eval()
    with torch.no_grad():
        clean = model(x).log_softmax(1)
        moved = {
            name: (clean.exp() * (clean - model(x_adv).log_softmax(1))).sum(1)
            for name, x_adv in {
                "itself": Attacker(run, state)(x, y, "itself"),
                "noise": run.threat.random_start(x),
            }.items()
        }
    assert bool((moved["itself"] > moved["noise"]).all())


def test_the_classes_do_not_matter_when_moving_away_from_a_teacher(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"objective": "trades", "attack": {"steps": 3}}))
    state = phases.first(run)
    x, y = _eight(run)
    start = state.attack.get_state()
    first = Attacker(run, state)(x, y, torch.zeros(8, 2))
    state.attack.set_state(start)
    assert torch.equal(Attacker(run, state)(x, 1 - y, torch.zeros(8, 2)), first)


def test_static_networks_make_the_images_in_turn_with_the_network_itself(
    make_run: MakeRun, make_settings: MakeSettings, small: nn.Module
) -> None:
    attack = {"sources": ["one", "two"]}
    run = make_run(make_settings({"objective": "adversarial", "attack": attack}))
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    run = replace(run, networks={"one": one, "two": two})
    state = phases.first(run)
    victims = []
    for state.position.total in range(4):
        victims.append(Attacker(run, state)._victim())
    assert victims == [state.model, one, two, state.model]


def test_free_training_moves_one_perturbation_from_step_to_step(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"objective": "madry", "attack": {"replays": 2}}))
    state = phases.first(run)
    x, y = _eight(run)
    first = Replaying(run, state)
    assert torch.equal(first(x, y), x)
    gradient = torch.ones_like(x)
    gradient[:, :, 0] = -1
    first.learn([gradient])
    assert state.perturbation is not None
    assert torch.allclose(state.perturbation, 0.1 * gradient)
    second = Replaying(run, state)
    assert torch.allclose(second(x, y), (x + 0.1 * gradient).clamp(0, 1))
    second.learn([gradient])  # already at the border of the ball
    assert torch.allclose(state.perturbation, 0.1 * gradient)


def test_drawn_weights_are_attacked_where_it_is_asked_for(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    phase = {"on": "gaussian", "objective": "adv_bnn", "attack": {"on": "sampled"}}
    run = make_run(make_settings(phase))
    state = phases.first(run)
    victim, x = Attacker(run, state)._victim(), _eight(run)[0]
    assert isinstance(victim, Sampled)
    assert not torch.equal(victim(x), victim(x))
