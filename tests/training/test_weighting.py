from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from advprune.gates import gate
from advprune.training import Trained, Training, checkpoint, phases, snapshot, weighting
from advprune.training.state import Run

GATED = {"on": "gated", "objective": "anp", "attack": {"steps": 1}, "kl_weighting": "latency"}
MakeSettings = Callable[..., Training]
MakeRun = Callable[[Training], Run]


@pytest.fixture
def by_weights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A pass takes a second a weight of the network, two in the second round; counts the pairs."""
    pairs: list[int] = []

    def timed(networks: Mapping[str, nn.Module], images: Tensor) -> dict[str, list[float]]:
        pairs.append(len(images))
        sizes = {name: sum(p.numel() for p in n.parameters()) for name, n in networks.items()}
        return {name: [size, 2.0 * size, size] for name, size in sizes.items()}

    monkeypatch.setattr(weighting, "_times", timed)
    return pairs


def test_each_group_is_timed_alone_and_shares_its_time_among_what_went(
    make_chain: type[nn.Module], by_weights: list[int]
) -> None:
    images = torch.rand(2, 1, 4, 4)
    gated = gate(make_chain(), images)
    seconds = weighting.measured(gated, images)
    whole, parts = sum(p.numel() for p in gated.model.parameters()), gated.structure.split(seconds)
    assert len(by_weights) == len(gated.structure.groups)
    assert seconds.shape == (gated.structure.units,)
    for times in parts.values():
        assert torch.equal(times, times[:1].expand_as(times))
        assert 0 < float(times[0]) < whole


def test_a_group_that_saves_nothing_counts_as_nothing_but_not_all_may(
    make_chain: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(2, 1, 4, 4)
    gated = gate(make_chain(), images)
    answers = iter([3.0, *[-1.0] * 10])

    def timed(networks: object, images: Tensor) -> dict[str, list[float]]:
        return {"whole": [next(answers)], "cut": [0.0]}

    monkeypatch.setattr(weighting, "_times", timed)
    first, *others = gated.structure.split(weighting.measured(gated, images)).values()
    assert float(first.sum()) > 0
    assert all(float(times.sum()) == 0 for times in others)
    with pytest.raises(ValueError, match=r"kl_weighting: latency: no group.*2 images"):
        weighting.measured(gated, images)


def test_a_run_measures_once_and_weighs_with_mean_one(
    make_run: MakeRun,
    make_settings: MakeSettings,
    make_chain: type[nn.Module],
    by_weights: list[int],
) -> None:
    run = replace(make_run(make_settings(GATED, GATED)), model=make_chain())
    state = phases.first(run)
    groups = len(run.unpruned.groups)
    assert by_weights == [8] * groups  # a batch a pass
    assert state.unit_weights is not None
    assert float(state.unit_weights.mean()) == pytest.approx(1)
    before = state.unit_weights
    phases.drop(run, state, torch.arange(len(before)) != 0)
    assert torch.equal(state.unit_weights, before[1:])
    phases.begin_next(run, state)
    assert len(by_weights) == groups


def test_a_resumed_run_keeps_what_was_measured(
    make_run: MakeRun, make_settings: MakeSettings, by_weights: list[int]
) -> None:
    run = make_run(make_settings(GATED))
    state = phases.first(run)
    assert state.unit_seconds is not None
    state.unit_seconds[0] *= 3  # as no second measurement would be
    weighting.weigh(run, state)
    snapshot.save(run, state)
    measured, folder = len(by_weights), checkpoint.latest(run.checkpoints)
    assert folder is not None
    resumed = snapshot.resume(run, folder)
    assert len(by_weights) == measured
    assert state.unit_weights is not None
    assert resumed.unit_weights is not None
    assert torch.equal(resumed.unit_weights, state.unit_weights)


def test_a_run_weighed_by_real_time_trains(
    go: Callable[..., Trained], make_settings: MakeSettings
) -> None:
    assert 0 <= go(make_settings(GATED, batch_size=48)).best <= 1
