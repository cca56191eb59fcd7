import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import APGD, FAB, Attack, Found
from advprune.evaluation import SUITES, Result, evaluate
from advprune.evaluation.trial import Trial
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.1)


class Threshold(nn.Module):
    """Answers 1 where an image's only pixel is above the level: robust where it is eps away."""

    def __init__(self, level: float = 0.5, steepness: float = 1.0) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))
        self.steepness = steepness

    def forward(self, x: Tensor) -> Tensor:
        score = torch.tanh(self.steepness * (x.flatten(1) - self.level))
        return torch.cat([-score, score], dim=1)


class Push(Attack):
    """Moves every pixel by eps in one direction, and claims to have fooled nobody."""

    def __init__(self, threat: ThreatModel, sign: int) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        self.sign = sign

    def _search(self, victim: object, x: Tensor, generator: torch.Generator | None) -> Found:
        moved = self.threat.project(x + self.sign * self.threat.eps, x)
        return Found(moved, torch.zeros(len(x), dtype=torch.bool), torch.zeros(1))


def pixels(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


FAR_AND_NEAR = (pixels(0.1, 0.45, 0.55, 0.9), torch.tensor([0, 0, 1, 1]))
PUSHED = {"up": Trial(Push(THREAT, 1), alone=True), "down": Trial(Push(THREAT, -1), alone=True)}


def names(result: Result) -> set[str]:
    return {finding.name for finding in result.warnings}


@pytest.mark.parametrize("suite", ["quick", "paper", "strong", "rand"])
def test_examples_nearer_to_the_threshold_than_eps_fall(suite: str) -> None:
    result = evaluate(Threshold(), FAR_AND_NEAR, THREAT, suite)
    assert (result.clean, result.robust) == (1.0, 0.5)
    assert result.survivors.tolist() == [True, False, False, True]
    assert result.warnings == ()


def test_what_was_wrong_before_counts_as_wrong_after() -> None:
    x = pixels(0.1, 0.9)
    result = evaluate(Threshold(), (x, torch.tensor([0, 0])), THREAT)
    assert (result.clean, result.robust) == (0.5, 0.5)
    result = evaluate(Threshold(), (x, torch.tensor([1, 0])), THREAT)
    assert (result.clean, result.robust) == (0.0, 0.0)
    assert result.warnings == ()
    assert result.attacks["pgd_margin"].examples == 0


def test_the_robust_figure_is_each_examples_worst_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "quick", lambda *_: PUSHED)
    result = evaluate(Threshold(), FAR_AND_NEAR, THREAT)
    assert {name: figure.accuracy for name, figure in result.attacks.items()} == {
        "up": 0.75,
        "down": 0.75,
    }
    assert result.robust == 0.5


def test_the_worst_class_is_told() -> None:
    data = (pixels(0.1, 0.2, 0.55, 0.9), torch.tensor([0, 0, 1, 1]))
    result = evaluate(Threshold(), data, THREAT, "paper")
    assert [(each.label, each.robust) for each in result.classes] == [(0, 1.0), (1, 0.5)]
    assert result.worst_class.label == 1
    assert "class 1, 2 examples" in str(result)


def test_distances_and_notes_of_an_attack_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    attacks = {"fab": FAB(THREAT, steps=5), "dlr": APGD(THREAT, steps=5, loss="dlr")}
    trials = {name: Trial(attack, alone=True) for name, attack in attacks.items()}
    monkeypatch.setitem(SUITES, "quick", lambda *_: trials)
    result = evaluate(Threshold(), FAR_AND_NEAR, THREAT)
    assert result.attacks["fab"].distances == pytest.approx((0.4, 0.05, 0.05, 0.4), rel=0.2)
    assert result.attacks["dlr"].distances is None
    assert "the loss is margin: dlr needs 3 classes" in str(result)


def test_later_attacks_meet_survivors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    down = Trial(Push(THREAT, -1), alone=False)
    monkeypatch.setitem(SUITES, "quick", lambda *_: {"up": PUSHED["up"], "down": down})
    result = evaluate(Threshold(), FAR_AND_NEAR, THREAT)
    assert (result.attacks["down"].examples, result.attacks["down"].accuracy) == (3, 0.5)
    assert "on the survivors so far" in str(result)


def test_stored_images_are_classified_again_and_a_different_count_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SUITES, "quick", lambda *_: PUSHED)
    result = evaluate(Threshold(), FAR_AND_NEAR, THREAT)
    assert (result.attacks["up"].accuracy, result.attacks["up"].accuracy_by_attack) == (0.75, 1.0)
    assert "100.00 by its own count" in str(result)


def test_masked_gradients_are_warned_of_and_a_source_breaks_them() -> None:
    data = (torch.full((100, 1, 1, 1), 0.42), torch.zeros(100, dtype=torch.int64))
    honest = Threshold()
    masked = Threshold(steepness=1e4)
    result = evaluate(masked, data, ThreatModel("linf", 0.09), "paper", {"honest": honest})
    assert result.attacks["pgd40"].accuracy > 0.5
    assert result.attacks["transfer:honest"].accuracy == 0.0
    assert result.attacks["transfer:honest"].accuracy_by_attack is None
    assert result.robust == 0.0
    assert names(result) == {"zero gradients", "transfer stronger than white-box"}


def test_a_loss_that_does_not_rise_is_warned_of() -> None:
    data = (torch.full((20, 1, 1, 1), 0.2), torch.zeros(20, dtype=torch.int64))
    assert "loss does not rise" in names(evaluate(Threshold(steepness=1e4), data, THREAT))
    assert names(evaluate(Threshold(), data, THREAT)) == set()


def test_survivors_do_not_depend_on_the_batch_size() -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 3))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    x = torch.rand(50, 1, 3, 3, generator=generator)
    data = (x, model(x).argmax(1))
    alone, packed = (evaluate(model, data, THREAT, batch_size=size) for size in (1, 64))
    assert 0 < packed.robust < 1
    assert torch.equal(alone.survivors, packed.survivors)


def test_a_loader_gives_the_same_as_its_tensors() -> None:
    x, y = FAR_AND_NEAR
    loader = [(x[:3], y[:3]), (x[3:], y[3:])]
    whole, loaded = (evaluate(Threshold(), data, THREAT) for data in (FAR_AND_NEAR, loader))
    assert torch.equal(whole.survivors, loaded.survivors)
    assert whole.data_hash == loaded.data_hash


def test_the_model_and_the_global_random_state_are_left_alone() -> None:
    model = Threshold().train()
    before = torch.get_rng_state()
    evaluate(model, FAR_AND_NEAR, THREAT, sources=[Threshold(0.4)])
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert model.level.grad is None


def test_a_subset_keeps_classes_and_brings_an_interval() -> None:
    x, y = pixels(*[0.1] * 30, *[0.9] * 10), torch.tensor([0] * 30 + [1] * 10)
    result = evaluate(Threshold(), (x, y), THREAT, subset=20, seed=1)
    assert y[result.indices].tolist() == [0] * 15 + [1] * 5
    assert (result.examples, result.data_examples) == (20, 40)
    assert result.robust_interval[0] == pytest.approx(0.8316, abs=1e-4)


def test_the_json_holds_what_the_figures_rest_on(tmp_path: Path) -> None:
    model = Threshold()
    result = evaluate(model, FAR_AND_NEAR, THREAT, seed=3, batch_size=2)
    content = json.loads(result.to_json(tmp_path / "deep" / "result.json").read_text())
    assert content["schema"] == 3
    assert content["classes"] == [
        {"label": 0, "examples": 2, "clean": 1.0, "robust": 0.5},
        {"label": 1, "examples": 2, "clean": 1.0, "robust": 0.5},
    ]
    assert content["threat"] == {"norm": "linf", "eps": 0.1, "bounds": [0.0, 1.0]}
    assert (content["seed"], content["batch_size"], content["examples"]) == (3, 2, 4)
    assert content["attacks"]["pgd"]["budget"]["steps"] == 20
    assert content["attacks"]["pgd"]["forward_passes"] > 0
    assert content["survivors"] == "90"
    assert content["environment"]["torch"] == torch.__version__
    assert len(content["model_hash"]) == len(content["data_hash"]) == 64
    with torch.no_grad():
        model.level.add_(1e-3)
    assert evaluate(model, FAR_AND_NEAR, THREAT).model_hash != content["model_hash"]


def test_unknown_suites_and_impossible_data_are_refused() -> None:
    with pytest.raises(ValueError, match=r"suite 'quik'.*'quick'"):
        evaluate(Threshold(), FAR_AND_NEAR, THREAT, "quik")
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        evaluate(Threshold(), (pixels(1.5), torch.tensor([0])), THREAT)
    with pytest.raises(ValueError, match=r"takes no images of shape \(1, 1, 1\)"):
        evaluate(nn.Conv2d(3, 2, 1), FAR_AND_NEAR, THREAT)
    with pytest.raises(ValueError, match="subset=5"):
        evaluate(Threshold(), FAR_AND_NEAR, THREAT, subset=5)
    with pytest.raises(ValueError, match="no example"):
        evaluate(Threshold(), [], THREAT)
    with pytest.raises(ValueError, match="classes"):
        evaluate(Threshold(), (pixels(0.1), torch.tensor([2])), THREAT)


class Nudge(Push):
    """Moves every pixel up by an amount."""

    def __init__(self, threat: ThreatModel, amount: float) -> None:
        super().__init__(threat, 1)
        self.amount = amount

    def _search(self, victim: object, x: Tensor, generator: torch.Generator | None) -> Found:
        return Found(x + self.amount, None, torch.zeros(1))


def test_images_that_fool_are_counted_as_png_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = {"kept": 1 / 255, "rounded off": 0.4 / 255, "none fools": 0.1 / 255}
    trials = {name: Trial(Nudge(THREAT, step), alone=True) for name, step in amounts.items()}
    monkeypatch.setitem(SUITES, "quick", lambda *_: trials)
    data = (pixels(100 / 255, 100 / 255), torch.tensor([0, 1]))  # the second is wrong before
    result = evaluate(Threshold(100.3 / 255), data, THREAT)
    found = {name: figure.survive_png for name, figure in result.attacks.items()}
    assert found == {"kept": 1.0, "rounded off": 0.0, "none fools": None}


class Noisy(nn.Module):
    """Answers by the mean pixel, above or below 0.5, give or take a little each time."""

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.001 * torch.randn(len(x))
        score = torch.tanh(x.flatten(1).mean(1) - 0.5 + noise)
        return torch.stack([-score, score], dim=1)


def test_a_random_model_is_attacked_by_means_of_20_draws_in_rand_and_quick_alarms() -> None:
    # All four pixels must move by 0.095: a random start does not, the first step of 2 eps does.
    data = (torch.full((5, 1, 2, 2), 0.405), torch.zeros(5, dtype=torch.int64))
    result = evaluate(Noisy(), data, THREAT, "rand")
    assert (result.clean, result.robust) == (1.0, 0.0)
    first, second = result.attacks.values()
    assert first.budget["samples"] == second.budget["samples"] == 20
    assert first.backward_passes == 20 * 2 * 5
    assert first.forward_passes == 20 * (1 + 2) * 5  # one look at the images themselves
    assert second.examples == second.forward_passes == 0
    assert {one.name: one.level for one in result.warnings} == {
        "random output, averaged attacks": "warning"
    }
    quick = {one.name: one.level for one in evaluate(Noisy(), data, THREAT).warnings}
    assert quick["random output"] == "alarm"
    assert "random output, averaged attacks" not in quick
