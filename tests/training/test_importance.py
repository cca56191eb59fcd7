from collections.abc import Callable
from math import log, sqrt

import pytest
import torch
from torch import nn

from advprune.training import Trained, Training, phases, step
from advprune.training.importance import rated, scored, write
from advprune.training.sparsity import choice
from advprune.training.state import Run

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]


class Two(nn.Module):
    """Layers of four weights and of two."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 1)
        self.a.weight.data = torch.tensor([[1.0, -4.0], [3.0, 2.0]])
        self.b.weight.data = torch.tensor([[0.5, 0.25]])


def test_scores_begin_in_proportion_to_the_weights_and_keep_the_largest() -> None:
    found = scored(Two(), choice(0.5, "layer"))
    root = sqrt(6 / 2)
    torch.testing.assert_close(
        found.scores["a.weight"].data, root * torch.tensor([[1 / 4, -1], [3 / 4, 1 / 2]])
    )
    torch.testing.assert_close(found.scores["b.weight"].data, root * torch.tensor([[1, 1 / 2]]))
    assert found.masks()["a.weight"].tolist() == [[False, True], [True, False]]


def test_gradients_pass_the_masks_straight_through() -> None:
    """Of a weight that is cut too: it may come back."""
    found = scored(Two(), choice(0.5, "layer"))
    slopes = {"a.weight": torch.tensor([[1.0, 1.0], [0.5, -1.0]]), "b.weight": None}
    a, b = found.pulled_back(slopes, 0)
    assert a.tolist() == [[1.0, 4.0], [1.5, -2.0]]  # ∂L/∂w θ sign(θ)
    assert b.tolist() == [[0.0, 0.0]]


def test_the_network_has_its_weights_where_the_scores_are_largest() -> None:
    model = Two()
    found = scored(model, choice(0.5, "layer"))
    found.scores["a.weight"].data = torch.tensor([[9.0, 0.1], [-9.0, 0.1]])
    write(found, model, found.masks())
    assert model.a.weight.tolist() == [[1.0, 0.0], [3.0, 0.0]]
    assert model.b.weight.tolist() == [[0.5, 0.0]]
    assert found.weights["a.weight"].tolist() == [[1.0, -4.0], [3.0, 2.0]]


def test_rates_begin_at_the_share_and_learn_from_slopes_and_from_what_is_too_much() -> None:
    """k = 0.05 + 0.95 σ(r) is 0.5 where σ(r) is 9/19."""
    found = rated(Two(), choice(0.5, "layer"), share=0.5, pressure=2.0)
    assert found.rates["a.weight"].item() == pytest.approx(log(9 / 10))
    slopes = {"a.weight": torch.ones(2, 2), "b.weight": torch.ones(1, 2)}
    change = 0.95 * (9 / 19) * (10 / 19)  # ∂k/∂r
    exact = [found.parameters[f"rate.{name}"] for name in slopes]
    gradients = found.pulled_back(slopes, 1)
    assert len(gradients) == len(found.parameters) == 4
    assert gradients[2].item() == pytest.approx(change * 2.0)  # Σ ∂L/∂w θ = 1 - 4 + 3 + 2
    assert gradients[3].item() == pytest.approx(change * 0.75)
    exact[0].data += 1  # too large now: γ n / (share Σ n) with γ = 2 · 2
    sigmoid = exact[0].sigmoid().item()
    change = 0.95 * sigmoid * (1 - sigmoid)
    assert found.pulled_back(slopes, 1)[2].item() == pytest.approx(change * (2.0 + 4 * 4 / 3))


def test_rates_are_settled_on_the_share_of_all_weights() -> None:
    model = Two()
    model.a, model.b = nn.Linear(100, 10), nn.Linear(10, 100)
    found = rated(model, choice(0.8, "layer"), share=0.2, pressure=0.0)
    found.rates["a.weight"].data += 2.0
    before = {name: float(mask.float().mean()) for name, mask in found.masks().items()}
    assert before["a.weight"] > 2 * before["b.weight"] == pytest.approx(0.4)
    found.settle()
    kept = {name: int(mask.sum()) for name, mask in found.masks().items()}
    assert sum(kept.values()) == pytest.approx(400, abs=1)
    assert kept["a.weight"] > 3 * kept["b.weight"] > 60


@pytest.mark.parametrize("learned", ["scores", "rates"])
def test_a_step_moves_scores_and_nothing_else(
    make_run: MakeRun, make_settings: MakeSettings, learned: str
) -> None:
    sparsity = {"share": 0.75, "learned": learned}
    run = make_run(make_settings({"sparsity": sparsity, "learning_rate": 0.5}))
    state = phases.first(run)
    assert state.learned is not None
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    first = state.learned.masks()
    for _ in range(3):
        step.take(run, state, *run.splits.train.subset(range(8)).tensors())
    masks = state.learned.masks()
    assert any(not torch.equal(mask, first[name]) for name, mask in masks.items())
    for name, value in state.model.named_parameters():
        kept = before[name] * masks[name] if name in masks else before[name]
        assert torch.equal(value, kept)


@pytest.mark.parametrize(
    ("way", "scope"),
    [({"learned": "scores"}, "layer"), ({"learned": "rates"}, "global"), ({"every": 4}, "layer")],
)
def test_what_is_open_in_a_phase_is_settled_for_the_next_and_outlives_a_resume(
    go: Callable[..., Trained],
    make_settings: MakeSettings,
    interrupt_at: Callable[..., None],
    way: dict[str, object],
    scope: str,
) -> None:
    settings = make_settings(
        {
            "objective": "adversarial",
            "epochs": 2,
            "learning_rate": 0.1,
            "attack": {"steps": 1},
            "sparsity": {"share": 0.75, "pressure": 0.1, **way},
        },
        {"epochs": 1, "sparsity": {"share": 0.75, "scope": scope}},
        checkpoint_every=1,
    )
    whole = go(settings, "whole").model
    weights = torch.cat([whole.get_parameter(f"{n}.weight").flatten() for n in ("f1", "f2")])
    assert float((weights == 0).float().mean()) == pytest.approx(0.75, abs=0.01)
    interrupt_at(4, 12)  # once in either epoch of the first phase
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            go(settings, "killed", resume=True)
    resumed = go(settings, "killed", resume=True).model.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.state_dict().items())
