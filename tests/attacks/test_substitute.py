import pytest
import torch
from torch import Tensor, nn

from advprune.attacks import FGSM, BlackBox, Substitute, imitate
from advprune.attacks.substitute import small_network
from advprune.threat import ThreatModel

THREAT = ThreatModel("linf", 0.3)


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def brighter(x: Tensor) -> Tensor:
    """1 where the left half is brighter than the right one: classes alone, no gradient."""
    return (x[..., :2].sum((1, 2, 3)) > x[..., 2:].sum((1, 2, 3))).long()


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def dense(*_: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 2))


def test_the_substitute_learns_from_answers_and_asks_where_it_is_sensitive() -> None:
    asked = []

    def answers(x: Tensor) -> Tensor:
        asked.append(x)
        return brighter(x)

    x = images(80)
    learned = imitate(answers, x, dense(), rounds=2, epochs=50, step=0.1)
    assert [len(part) for part in asked] == [80, 80, 160]
    moved = (asked[1] - x).abs()
    assert bool(((moved < 0.1 + 1e-6) & ((moved > 0.1 - 1e-6) | (asked[1] % 1 == 0))).all())
    others = torch.rand(500, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    assert (learned(others).argmax(1) == brighter(others)).float().mean() > 0.85
    assert not learned.training


def test_augmentation_moves_along_the_sign_of_the_answered_logits_gradient() -> None:
    asked, network = [], linear()
    with torch.no_grad():
        network.get_parameter("1.weight").copy_(torch.stack([-torch.ones(16), torch.ones(16)]))

    def answers(x: Tensor) -> Tensor:
        asked.append(x)
        return torch.tensor([0, 1])

    imitate(answers, torch.full((2, 1, 4, 4), 0.5), network, rounds=1, epochs=1, step=0.2)
    torch.testing.assert_close(asked[1].mean((1, 2, 3)), torch.tensor([0.3, 0.7]))


def test_images_made_for_the_substitute_fool_a_model_that_gives_only_classes() -> None:
    x = images(40)
    model = BlackBox(brighter, classes=2)
    attack = Substitute(THREAT, rounds=2, epochs=40, build=dense)
    result = attack.run(model, x, brighter(x))
    assert result.fooled.float().mean() > 0.9
    assert result.backward_passes == 0
    assert result.forward_passes == 1 + 40 * 4 + 40


def test_without_rounds_a_network_learns_the_labels_afresh() -> None:
    x = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0, 0, 0] > 0.5).long()
    asked = []

    def labels(images: Tensor) -> Tensor:
        asked.append(len(images))
        return y

    torch.manual_seed(0)
    fresh = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
    imitate(labels, x, fresh, rounds=0, epochs=600)
    assert (fresh(x).argmax(1) == y).float().mean() > 0.95
    assert asked == [64]


def test_a_target_is_reached() -> None:
    x = images(20)
    target = 1 - brighter(x)
    attack = Substitute(THREAT, images=images(30), build=dense, rounds=2, epochs=40)
    assert attack.run(BlackBox(brighter, classes=2), x, 1 - target, target=target).fooled.all()


def test_no_image_asks_nothing() -> None:
    attack = Substitute(THREAT)
    assert attack(BlackBox(brighter, classes=2), images(0), brighter(images(0))).shape[0] == 0


def test_the_budget_is_told() -> None:
    budget = Substitute(THREAT, images=images(7), attack=FGSM(THREAT)).describe()
    assert (budget["images"], budget["rounds"], budget["epochs"], budget["step"]) == (7, 6, 10, 0.1)
    assert isinstance(budget["attack"], dict)
    assert budget["attack"]["name"] == "FGSM"
    assert Substitute(THREAT).describe()["build"] == small_network.__name__


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="the attack is made for"):
        Substitute(THREAT, attack=FGSM(ThreatModel("linf", 0.1)))
    with pytest.raises(ValueError, match="rounds=-1"):
        Substitute(THREAT, rounds=-1)
    with pytest.raises(ValueError, match="epochs=0"):
        imitate(brighter, images(4), linear(), epochs=0)
    with pytest.raises(ValueError, match="pixels lie in"):
        Substitute(THREAT, images=images(4) * 255)


def test_the_default_network_takes_any_size_and_channels() -> None:
    assert small_network(3, 7)(torch.rand(2, 3, 9, 5)).shape == (2, 7)
