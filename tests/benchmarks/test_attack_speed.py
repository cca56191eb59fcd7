import attack_speed
import pytest
import torch
from torch import Tensor, nn

from advprune.data import Images

IMAGES = Images(
    x=torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)),
    y=torch.arange(5),
    classes=tuple("01234"),
    name="noise",
)


class AlwaysTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.eye(10)[2].expand(len(x), 10) + 0 * x.sum((1, 2, 3))[:, None]


def test_every_image_is_attacked_once_whatever_the_batch() -> None:
    x_adv, seconds = attack_speed.attack_all(lambda x, y: x + 0.1, IMAGES, batch=2)
    assert torch.equal(x_adv, IMAGES.x + 0.1)
    assert seconds > 0


def test_the_judge_counts_right_answers_and_measures_the_ball() -> None:
    found = attack_speed.judge(AlwaysTwo(), IMAGES, IMAGES.x - 0.25)
    assert found["robust_accuracy"] == pytest.approx(1 / 5)
    assert found["largest_perturbation"] == pytest.approx(0.25)


def test_ratios_are_to_the_fastest_rival() -> None:
    speeds = {"torchattacks": 10.0, "foolbox": 20.0, "adversarial-robustness-toolbox": 5.0}
    speeds |= dict.fromkeys(attack_speed.OWN, 60.0)
    rows = [{"arm": name, "images_per_second": speed} for name, speed in speeds.items()]
    ratios = attack_speed.ratios(rows)
    assert ratios["fastest_rival"] == "foolbox"
    assert {ratios[name] for name in attack_speed.OWN} == {3.0}


def test_our_forms_are_the_rivals_protocol_and_our_default() -> None:
    budgets = [attack.describe() for attack in attack_speed.own_attacks().values()]
    assert {(b["steps"], b["step_size"], b["restarts"], b["eps"]) for b in budgets} == {
        (40, 0.01, 1, 0.3)
    }
    assert (budgets[0]["stop_when_fooled"], budgets[0]["keep"]) == (False, "last")
    assert (budgets[2]["stop_when_fooled"], budgets[2]["keep"]) == (True, "best")
