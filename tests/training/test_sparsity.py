from collections.abc import Callable

import pytest
import torch
from torch import nn

from advprune.gates import GatedModel
from advprune.training import Trained, Training, phases, step
from advprune.training.sparsity import (
    admm_penalty,
    admm_start,
    admm_update,
    channel_masks,
    choice,
    masks,
    prunable,
    shrink,
)
from advprune.training.state import Run

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]
WEIGHTS = {"a": torch.tensor([[1.0, -4.0], [3.0, 2.0]]), "b": torch.tensor([[0.1, 0.2]])}


def test_the_largest_weights_of_each_layer_or_of_all_are_kept() -> None:
    by_layer = masks(WEIGHTS, 0.5, "layer")
    assert by_layer["a"].tolist() == [[False, True], [True, False]]
    assert by_layer["b"].tolist() == [[False, True]]
    together = masks(WEIGHTS, 0.5, "global")
    assert together["a"].tolist() == [[False, True], [True, True]]
    assert together["b"].tolist() == [[False, False]]


def test_whole_channels_are_kept_by_the_norm_of_all_that_make_them(
    chain: GatedModel,
) -> None:
    """The chain has groups of 3, 4 and 5 units; its last layer makes the classes, which stay."""
    with torch.no_grad():
        for name, norms in {"conv1": (2, 1, 3), "conv2": (1, 4, 3, 2)}.items():
            weight = chain.model.get_parameter(f"{name}.weight")
            weight.copy_(torch.tensor(norms).view(-1, 1, 1, 1).expand_as(weight))
    found = channel_masks(prunable(chain.model), chain.structure, 0.5)
    assert found["conv1.weight"].flatten(1).all(1).tolist() == [True, False, True]
    assert found["conv2.weight"].flatten(1).any(1).tolist() == [False, True, True, False]
    assert int(found["f1.weight"].all(1).sum()) == 2  # of 5, half rounded to even
    assert bool(found["f2.weight"].all())


def line(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1)
    layer.weight.data = torch.tensor([weights])
    return layer


def test_admm_moves_target_and_dual_as_by_hand() -> None:
    layer = line(3.0, 1.0)
    duals = admm_start(layer, choice(0.5, "layer"))
    assert duals["z.weight"].tolist() == [[3.0, 0.0]]
    assert admm_penalty(duals)(layer).item() == pytest.approx(0.5)  # of 1²
    duals = admm_update(duals, layer, choice(0.5, "layer"))
    assert duals["u.weight"].tolist() == [[0.0, 1.0]]
    assert admm_penalty(duals)(layer).item() == pytest.approx(2.0)  # of (1 - 0 + 1)²
    layer.weight.data[0, 1] = 2.5
    duals = admm_update(duals, layer, choice(0.5, "layer"))  # of 3 and 3.5 the second stays
    assert duals["z.weight"].tolist() == [[0.0, 3.5]]
    assert duals["u.weight"].tolist() == [[3.0, 0.0]]


def test_shrinkage_moves_weights_towards_zero_and_stops_there() -> None:
    layer = line(3.0, -1.0, 0.2)
    shrink(layer, 0.5)
    assert layer.weight.tolist() == [[2.5, -0.5, 0.0]]


def test_weights_are_shrunk_by_the_rate_after_each_step(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run, plain = (
        make_run(make_settings({"learning_rate": 0.01, "shrinkage": weight})) for weight in (2, 0)
    )
    batch = run.splits.train.subset(range(8)).tensors()
    weights = []
    for one in (run, plain):
        state = phases.first(one)
        step.take(one, state, *batch)
        weights.append(state.model.get_parameter("f1.weight").detach())
    shrunk, moved = weights
    torch.testing.assert_close(shrunk, moved.sign() * (moved.abs() - 0.02).clamp_min(0))


def test_between_two_projections_all_weights_train(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    sparsity = {"share": 0.75, "every": 2}
    run = make_run(make_settings({"sparsity": sparsity, "learning_rate": 0.1}))
    state = phases.first(run)
    zeros = []
    for _ in range(4):
        step.take(run, state, *run.splits.train.subset(range(8)).tensors())
        zeros.append(_zeros(state.model)["f1.weight"])
    assert zeros[0] < zeros[1] == 0.75
    assert zeros[2] < zeros[3] == 0.75


def test_the_last_projection_is_the_cut(
    go: Callable[..., Trained], make_settings: MakeSettings
) -> None:
    sparsity = {"share": 0.5, "every": 4}
    model = go(make_settings({"epochs": 2, "sparsity": sparsity})).model
    assert _zeros(model) == {"f1.weight": 0.5, "f2.weight": 0.5}


def _zeros(model: nn.Module) -> dict[str, float]:
    return {
        name: float((value == 0).float().mean())
        for name, value in model.named_parameters()
        if value.dim() > 1
    }


def test_weights_that_were_cut_stay_zero_while_the_others_train(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"sparsity": {"share": 0.75}, "learning_rate": 0.1}))
    state = phases.first(run)
    before = {name: value.detach().clone() for name, value in state.model.named_parameters()}
    state.model.train()
    for _ in range(3):
        step.take(run, state, *run.splits.train.subset(range(8)).tensors())
    assert _zeros(state.model) == {"f1.weight": 0.75, "f2.weight": 0.75}
    moved = state.model.get_parameter("f1.weight") != before["f1.weight"]
    assert torch.equal(moved, state.masks["f1.weight"])


def test_admm_draws_weights_and_cuts_them_at_the_end(
    go: Callable[..., Trained], make_settings: MakeSettings
) -> None:
    sparsity = {"share": 0.5, "admm": 1e-2}
    drawn = {"objective": "adversarial", "epochs": 2, "attack": {"steps": 1}, "sparsity": sparsity}
    assert _zeros(go(make_settings(drawn)).model) == {"f1.weight": 0.5, "f2.weight": 0.5}


def test_admm_of_channels_cuts_what_the_classes_do_not_need(
    go: Callable[..., Trained], make_settings: MakeSettings
) -> None:
    sparsity = {"share": 0.5, "admm": 1e-2, "scope": "channel"}
    model = go(make_settings({"epochs": 1, "sparsity": sparsity})).model
    rows = {name: value.abs().flatten(1).sum(1) for name, value in prunable(model).items()}
    assert float((rows["f1.weight"] == 0).float().mean()) == 0.5
    assert not bool((rows["f2.weight"] == 0).any())


def test_masks_and_duals_outlive_a_resume(
    go: Callable[..., Trained], make_settings: MakeSettings, interrupt_at: Callable[..., None]
) -> None:
    phase = {"epochs": 2, "learning_rate": 0.02}
    settings = make_settings(
        {
            **phase,
            "sparsity": {"share": 0.5, "admm": 0.1},
            "penalty": {"name": "l1", "weight": 1e-3},
        },
        {**phase, "sparsity": {"share": 0.5}},
        checkpoint_every=1,
    )
    whole = go(settings, "whole").model.state_dict()
    interrupt_at(9, 17)  # once in either phase, past an epoch's border
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            go(settings, "killed", resume=True)
    resumed = go(settings, "killed", resume=True).model.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
