from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from advprune.gates import GatedModel
from advprune.training import Training, phases, step
from advprune.training.budget import Controller
from advprune.training.state import Run, State

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]


def _stepped(run: Run, state: State) -> None:
    state.model.train()
    step.take(run, state, *run.splits.train.subset(range(8)).tensors())


def test_a_step_counts_and_adds_up_its_figures(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"epochs": 1}))
    state = phases.first(run)
    for _ in range(2):
        _stepped(run, state)
    assert (state.position.step, state.position.total) == (2, 2)
    assert 2 * 0.3 < state.sums["loss"].item() < 2 * 1.5  # two steps, near log 2 each


def test_weights_and_gates_have_rates_of_their_own(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    phase = {"on": "gated", "objective": "bayesian_pruning", "weight_decay": 0}
    phase |= {"learning_rate": 1e-3, "gate_learning_rate": 1e-1}
    run = make_run(make_settings(phase))
    state = phases.first(run)
    before = {name: value.detach().clone() for name, value in state.model.named_parameters()}
    _stepped(run, state)
    moved = {
        name: float((value.detach() - before[name]).abs().max())
        for name, value in state.model.named_parameters()
    }
    assert moved["model.f2.bias"] == pytest.approx(1e-3, rel=0.01)  # Adam's first step is its rate
    assert max(moved[n] for n in moved if n.startswith("gate")) == pytest.approx(0.1, rel=0.01)


def test_gates_are_not_trained_by_an_objective_without_a_loss_for_them(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"on": "gated", "objective": "standard"}))
    state = phases.first(run)
    assert isinstance(state.model, GatedModel)
    before = [value.detach().clone() for value in state.model.gate_parameters()]
    _stepped(run, state)
    pairs = zip(before, state.model.gate_parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in pairs)


def test_beta_rises_and_is_multiplied_by_the_controller(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    phase = {"on": "gated", "objective": "anp", "epochs": 4, "beta": 2, "kl_warmup_epochs": 2}
    run = make_run(make_settings(phase))
    state = phases.first(run)
    assert step.beta(run, state) == 0
    state.position.epoch = 1
    assert step.beta(run, state) == 1
    state.controller = Controller(multiplier=3.0)
    assert step.beta(run, state) == 3


def test_the_teacher_is_asked_about_the_clean_images(
    make_run: MakeRun, make_settings: MakeSettings, small: nn.Module
) -> None:
    phase = {"objective": "rslad", "teacher": "parent", "attack": {"steps": 1}}
    run = replace(make_run(make_settings(phase)), networks={"parent": small.eval()})
    state = phases.first(run)
    _stepped(run, state)  # the student begins as its teacher
    x, _ = run.splits.train.subset(range(8)).tensors()
    taught = step._taught(run, state, x)
    assert taught is not None
    assert torch.equal(taught, small(x))
    assert 0 < state.sums["loss"].item() < 0.1  # the attack alone tells them apart
