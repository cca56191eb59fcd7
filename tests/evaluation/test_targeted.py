import json
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import APGD, Attack, Found
from advprune.evaluation import Targeted, evaluate, interval, targeted
from advprune.evaluation.trial import Trial
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.2)


class Linear(nn.Module):
    """Answers 0, first pixel - 0.6, second pixel - 0.8, and as many classes far below as asked."""

    def __init__(self, others: int = 0) -> None:
        super().__init__()
        self.others = others

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.flatten(1).unbind(1)
        far = [0.01 * first - 5 - number for number in range(self.others)]
        return torch.stack([0 * first, first - 0.6, second - 0.8, *far], dim=1)


X = torch.tensor([[0.5, 0.5], [0.7, 0.7], [0.9, 0.1], [0.5, 0.5]]).view(-1, 1, 1, 2)
Y = torch.tensor([0, 1, 1, 2])
"""Of the first, 1 is 0.1 away and 2 is 0.3; of the second, 0 is 0.1 away and 2, in linf, too; the
third is far from both; the fourth is wrong."""


def short(threat: ThreatModel = THREAT, /, others: int = 0, **settings: int) -> Targeted:
    return targeted(Linear(others), (X, Y), threat, **{"steps": 10, **settings})


def test_what_is_near_is_reached_and_what_is_far_is_not() -> None:
    found = short()
    assert (found.success.reached, found.success.of) == (3, 6)
    assert (found.best_target.reached, found.best_target.of) == (2, 3)
    assert (found.worst_target.reached, found.worst_target.of) == (1, 3)
    assert found.success.share == 0.5
    assert found.success.interval == interval(3, 6)
    assert found.worst_target.interval == interval(1, 3)
    turns = [(turn.label, turn.target, turn.images, turn.reached) for turn in found.matrix]
    assert turns == [(0, 1, 1, 1), (0, 2, 1, 0), (1, 0, 2, 1), (1, 2, 2, 1)]
    assert found.warnings == ()


@pytest.mark.parametrize(("norm", "eps", "reached"), [("l2", 0.17, 3), ("l1", 0.13, 2)])
def test_a_way_that_needs_both_pixels_is_longer_in_other_norms(
    norm: str, eps: float, reached: int
) -> None:
    assert short(ThreatModel(norm, eps), steps=20).success.reached == reached


def test_the_rates_have_no_number_where_nothing_was_tried() -> None:
    rates = short().rates()
    assert rates[:2].nan_to_num(-1).tolist() == [[-1, 1, 0], [0.5, -1, 0.5]]
    assert rates[2].isnan().all()


def test_what_was_wrong_before_is_counted_and_not_attacked() -> None:
    found = short()
    assert (found.wrong, found.examples) == (1, 4)
    assert found.attacks["apgd_ce"].pairs == 6
    none = targeted(Linear(), (X, torch.tensor([1, 0, 0, 1])), THREAT)
    assert (none.wrong, none.success.of, none.success.share) == (4, 0, None)
    assert none.success.interval == (0.0, 1.0)
    assert none.matrix == ()
    assert "none" in str(none)


def test_the_best_target_is_found_where_any_wrong_answer_is() -> None:
    found, usual = short(), evaluate(Linear(), (X, Y), THREAT)
    assert usual.clean - usual.robust == found.best_target.reached / found.examples


def test_no_target_is_the_true_class_and_each_other_class_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[tuple[float, int, int]] = set()
    run = APGD.run

    def noted(self: APGD, model: nn.Module, x: Tensor, y: Tensor, **more: Tensor) -> object:
        asked.update(zip(x.sum((1, 2, 3)).tolist(), y.tolist(), more["target"].tolist()))  # noqa: B905
        return run(self, model, x, y, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(APGD, "run", noted)
    short()
    assert all(target != label for _, label, target in asked)
    assert len(asked) == 6


def test_of_many_classes_the_likeliest_wrong_ones_are_tried() -> None:
    found = short(others=9, targets=3)
    assert (found.targets, found.classes) == (3, 12)
    assert {turn.target for turn in found.matrix} == {0, 1, 2, 3}
    assert found.success.of == 9
    text = str(found)
    assert "the 10 easiest turns" in text
    assert "class → target" not in text
    assert short(others=9, steps=1).targets == 9


def test_of_two_classes_the_other_is_the_target() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    answers = model(X).argmax(1)
    found = targeted(model, (X, answers), ThreatModel("linf", 1), steps=2)
    assert (found.targets, found.success.of) == (1, 4)
    assert found.success == found.best_target == found.worst_target


class Liar(Attack):
    """Changes nothing, and claims to have reached every target."""

    def __init__(self, threat: ThreatModel) -> None:
        super().__init__(threat, loss="margin", precision="float32")

    def _search(self, victim: object, x: Tensor, generator: torch.Generator | None) -> Found:
        return Found(x, torch.ones(len(x), dtype=torch.bool), torch.zeros(1))


def test_a_hit_is_what_one_more_classification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    lies = {"liar": Trial(Liar(THREAT), alone=False)}
    monkeypatch.setattr(import_module("advprune.evaluation.targeted"), "_trials", lambda *_: lies)
    found = short()
    assert found.success.reached == found.attacks["liar"].reached == 0
    assert found.attacks["liar"].reached_by_attack == 6
    assert "0 of the 6 pairs it met; 6 by its own count" in str(found)


def test_a_confident_network_is_turned_no_less() -> None:
    class Sure(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 1e4 * super().forward(x)

    found = targeted(Sure(), (X, Y), THREAT, steps=10)
    assert found.success.reached == 3


def test_gradients_that_are_hidden_are_an_alarm() -> None:
    class Steep(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(1e4 * super().forward(x))

    found = targeted(Steep(), (X, Y), THREAT, steps=5)
    assert found.success.reached < 3
    assert ("zero gradients", "alarm") in {(one.name, one.level) for one in found.warnings}


def net() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 4))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    x = torch.rand(40, 1, 3, 3, generator=generator)
    return model, (x, model.eval()(x).argmax(1))


def test_the_batch_size_changes_nothing_and_the_model_stays_as_it_was() -> None:
    model, data = net()
    model.train()
    alone, packed = (targeted(model, data, THREAT, steps=5, batch_size=size) for size in (16, 64))
    assert model.training
    assert 0 < packed.success.reached < packed.success.of
    assert alone.matrix == packed.matrix
    assert alone.model_hash == packed.model_hash


def test_a_subset_and_its_seed_are_told_and_the_same_twice() -> None:
    model, data = net()
    found, again, other = (
        targeted(model, data, THREAT, steps=3, subset=20, seed=seed) for seed in (1, 1, 2)
    )
    assert (found.examples, found.data_examples, found.seed) == (20, 40, 1)
    assert found.success.of == 3 * 20
    assert (found.data_hash, found.matrix) == (again.data_hash, again.matrix)
    assert found.data_hash != other.data_hash


def test_the_file_holds_every_figure_and_what_it_rests_on(tmp_path: Path) -> None:
    found = short(ThreatModel("linf", "1/5"), seed=3)
    written = json.loads(found.to_json(tmp_path / "out.json").read_text())
    assert written["schema"] == 1
    assert written["success"] == {
        "reached": 3, "of": 6, "share": 0.5, "interval": list(interval(3, 6))
    }  # fmt: skip
    assert written["matrix"][2] == {
        "label": 1, "target": 0, "images": 2, "reached": 1, "success": 0.5
    }  # fmt: skip
    assert (written["seed"], written["threat"]["eps"], written["wrong"]) == (3, 0.2, 1)
    assert (len(written["model_hash"]), written["environment"]["torch"]) == (64, torch.__version__)
    first, second = written["attacks"]["apgd_ce"], written["attacks"]["apgd_margin"]
    assert (first["budget"]["name"], first["budget"]["steps"]) == ("APGD", 10)
    assert first["pairs"] - first["reached"] == second["pairs"]
    # An image that is not reached costs ten gradients; one more look at it before, one after.
    assert second["backward_passes"] == 10 * second["pairs"]
    assert second["forward_passes"] == 12 * second["pairs"]


def test_a_terminal_shows_shares_and_the_matrix() -> None:
    text = str(short())
    assert "targeted, linf eps 0.2, 2 targets each of 3 images" in text
    assert "3 of 6 pairs of image and target; 95 % interval 11.81 to 88.19" in text
    assert "1 of 4 examples were wrong already" in text
    assert "│ 1     │ 50 │     │ 50 │" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"targets": 0}, "targets=0; allowed are whole numbers from 1"),
        ({"steps": 0}, "steps=0"),
        ({"subset": 5}, "subset=5; allowed are 1 to 4"),
    ],
)
def test_an_impossible_setting_is_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        short(**settings)


def test_models_and_data_that_allow_no_target_are_refused() -> None:
    one = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    with pytest.raises(ValueError, match="answers 1 class; to be turned takes 2 or more"):
        targeted(one, (X, torch.zeros(4, dtype=torch.int64)), THREAT)
    with pytest.raises(ValueError, match="a label is 3; the model answers 3 classes"):
        targeted(Linear(), (X, Y + 1), THREAT)
    with pytest.raises(TypeError, match="target_classes"):
        targeted(Linear(), (X, Y), THREAT, target_classes=3)  # type: ignore[call-arg]
