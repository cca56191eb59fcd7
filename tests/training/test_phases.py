from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from advprune.data import Images, Splits
from advprune.gates import BetaBernoulli, GatedModel
from advprune.training import GateSettings, Training, epoch, optimisers, phases, step
from advprune.training.state import Run, State

MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]
GATED = {"on": "gated", "objective": "bayesian_pruning", "epochs": 2, "average": 0.5}


def _begun(run: Run, steps: int) -> tuple[State, GatedModel]:
    state = phases.first(run)
    state.model.train()
    x, y = run.splits.train.subset(range(8)).tensors()
    for _ in range(steps):
        step.take(run, state, x, y)
    assert isinstance(state.model, GatedModel)
    return state, state.model


def _close(gated: GatedModel, units: list[int]) -> None:
    (gate,) = gated.gates.values()
    assert isinstance(gate, BetaBernoulli)
    chosen = torch.zeros(gate.units, dtype=torch.bool)
    chosen[units] = True
    gate.close(chosen)


def test_moments_and_average_follow_a_removal(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings(GATED))
    state, gated = _begun(run, 3)
    group = state.groups["weights"]
    before = dict(optimisers.tensors(group.optimiser, group.parameters))
    average = dict(state.average)
    keep = torch.tensor([True, False, True, True, False, True])
    phases.drop(run, state, keep)
    group = state.groups["weights"]
    after = optimisers.tensors(group.optimiser, group.parameters)
    name = "model.f1.weight"
    assert torch.equal(after[f"{name}:exp_avg"], before[f"{name}:exp_avg"][keep])
    assert torch.equal(after[f"{name}:step"], before[f"{name}:step"])
    assert torch.equal(state.average["model.f2.weight"], average["model.f2.weight"][:, keep])
    assert len(state.idle) == 4
    step.take(run, state, *run.splits.train.subset(range(8)).tensors())
    assert gated.structure.units == 4


def test_a_unit_goes_once_it_was_dead_for_long_enough(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({**GATED, "remove_dead_after": 2}))
    state, gated = _begun(run, 1)
    _close(gated, [1, 4])
    phases.drop_idle(run, state)
    assert state.idle.tolist() == [0, 1, 0, 0, 1, 0]
    assert gated.structure.units == 6
    phases.drop_idle(run, state)
    assert gated.structure.units == 4
    assert gated.original["f1"].tolist() == [0, 2, 3, 5]


def test_a_unit_that_comes_back_starts_counting_anew(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({**GATED, "remove_dead_after": 2}))
    state, gated = _begun(run, 1)
    _close(gated, [1])
    phases.drop_idle(run, state)
    gated.gates["f1"].revive(torch.arange(6) == 1)
    phases.drop_idle(run, state)
    assert state.idle.tolist() == [0] * 6


def test_inputs_that_are_dead_by_themselves_are_not_removed_again_and_again(
    make_run: MakeRun, make_settings: MakeSettings, make_chain: type[nn.Module]
) -> None:
    run = make_run(make_settings({**GATED, "remove_dead_after": 1}))
    run = replace(run, model=make_chain(), gates=GateSettings(per_position=("f1",)))
    state, gated = _begun(run, 0)
    optimiser = state.groups["weights"].optimiser
    gated.gates["f1.inputs"].close(torch.arange(16) == 3)
    phases.drop_idle(run, state)
    assert int(state.idle.sum()) == 1
    assert state.groups["weights"].optimiser is optimiser
    gated.gates["conv2"].close(torch.arange(4) == 0)  # all that arrives at input 3, and three more
    phases.drop_idle(run, state)
    assert gated.structure.units == 28 - 1 - 4
    assert not state.idle.any()


def test_nothing_is_removed_below_the_budget(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    phase = {**GATED, "remove_dead_after": 1, "budget": {"macs": 0.5}}
    run = make_run(make_settings(phase))
    state, gated = _begun(run, 1)
    _close(gated, [0, 1, 2, 3])
    phases.drop_idle(run, state)
    assert gated.structure.units == 6


def test_a_phase_ends_at_its_budget_from_above_and_from_below(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    for closed in ([], [0, 1, 2, 3, 4]):
        run = make_run(make_settings({**GATED, "budget": {"macs": 0.5}}))
        state, gated = _begun(run, 1)
        state.average = {}
        _close(gated, closed)
        phases.finish(run, state)
        assert gated.structure.macs(gated.keep()) == 0.5 * run.unpruned_macs


def test_the_average_is_what_a_phase_leaves(make_run: MakeRun, make_settings: MakeSettings) -> None:
    run = make_run(make_settings(GATED))
    state, gated = _begun(run, 3)
    averaged = state.average["model.f1.weight"].clone()
    assert not torch.equal(gated.model.get_parameter("f1.weight"), averaged)
    phases.finish(run, state)
    assert torch.equal(gated.model.get_parameter("f1.weight"), averaged)


def test_units_are_weighed_by_what_they_cost_before_any_goes(
    make_run: MakeRun, make_settings: MakeSettings, make_chain: type[nn.Module]
) -> None:
    run = replace(make_run(make_settings({**GATED, "kl_weighting": "macs"})), model=make_chain())
    state, gated = _begun(run, 0)
    conv1 = 16 * 9 * 1 + 16 * 9 * 4  # made, and read by conv2's four filters
    conv2, f1 = 16 * 9 * 3 + 4 * 5, 16 + 3
    mean = (3 * conv1 + 4 * conv2 + 5 * f1) / 12
    assert state.unit_weights is not None
    expected = [conv1] * 3 + [conv2] * 4 + [f1] * 5
    assert state.unit_weights.tolist() == pytest.approx([macs / mean for macs in expected])
    phases.drop(run, state, torch.arange(12) != 0)
    assert state.unit_weights.tolist() == pytest.approx([macs / mean for macs in expected[1:]])
    assert gated.structure.units == 11


def test_an_interrupted_epoch_goes_on_with_the_batches_it_lacks(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({"epochs": 1}))
    whole = [y.tolist() for _, y in epoch._batches(run, phases.first(run))]
    state = phases.first(run)
    state.position.step = 2
    assert [y.tolist() for _, y in epoch._batches(run, state)] == whole[2:]


class _Strange(nn.Module):
    """Through an operator that has no rule, so that no gates can be placed."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2 = nn.Linear(16, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.f2(torch.erfinv(self.f1(x.flatten(1))))
        return logits


def test_a_model_that_cannot_be_gated_is_refused_before_training(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = replace(make_run(make_settings({}, GATED)), model=_Strange())
    with pytest.raises(ValueError, match="cannot prune through operator"):
        phases.check(run)
    phases.check(replace(run, settings=make_settings({})))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), r"answers \(8, 3\).*has 2 classes"),
        (nn.Conv2d(1, 2, 1), r"answers \(8, 2, 4, 4\).*allowed.*\(8, 2\)"),
        (nn.Conv2d(3, 2, 1), r"no images of shape \(1, 4, 4\).*made up are: .*3 channels"),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), r"no images of shape.*8x16 and 9x2"),
        (nn.LSTM(4, 2), r"no images of shape \(1, 4, 4\)"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(
    model: nn.Module, complaint: str, make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = replace(make_run(make_settings({})), model=model)
    with pytest.raises(ValueError, match=complaint):
        phases.check(run)
    assert model.training


def _sorted_by_class(images: Images) -> Images:
    return images.subset(torch.argsort(images.y, stable=True))


def test_parts_of_data_sorted_by_class_hold_every_class(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({}, validation_examples=10, recalibration_examples=12))
    train, validation = map(_sorted_by_class, (run.splits.train, run.splits.validation))
    run = replace(run, splits=Splits(train, validation, run.splits.test))
    assert run.validation.y.tolist() == [0] * 5 + [1] * 5
    assert run.calibration.y.tolist() == [0] * 6 + [1] * 6


def test_a_resumed_run_is_validated_on_the_same_images(
    make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({}, validation_examples=10))
    torch.rand(3)  # another process stands elsewhere in its random stream
    assert run.validation.fingerprint() == replace(run).validation.fingerprint()


@pytest.mark.parametrize(("size", "batches"), [(24, [24, 24]), (47, [24, 24]), (1, [2] * 24)])
def test_no_batch_that_re_estimates_batch_norm_holds_a_single_image(
    size: int, batches: list[int], make_run: MakeRun, make_settings: MakeSettings
) -> None:
    run = make_run(make_settings({}, validation_batch_size=size))
    assert [len(x) for x in phases.calibration(run)] == batches


def test_gates_start_as_their_options_say(make_run: MakeRun, make_settings: MakeSettings) -> None:
    run = replace(make_run(make_settings(GATED)), gates=GateSettings(options={"start": 2.0}))
    assert run.gated.scores().tolist() == pytest.approx([0.680] * 6, abs=1e-3)
