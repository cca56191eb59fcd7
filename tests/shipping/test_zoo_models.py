from pathlib import Path

import pytest
import torch

from advprune import data
from advprune.evaluation import cost, evaluate
from advprune.shipping import load, zoo
from advprune.threat import ThreatModel

NAME = "zoo:mnist-lenet5-anp-vs"
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.mark.parametrize("name", zoo.names())
def test_every_model_has_a_card_with_its_name(name: str) -> None:
    assert (zoo.ZOO / name / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


def test_the_mnist_network_is_ten_times_smaller() -> None:
    found = cost(load(NAME), torch.zeros(1, 1, 28, 28))
    assert found.macs == 229_260
    assert found.parameters == 77_756


@pytest.mark.skipif(not MNIST.is_dir(), reason="no MNIST in ../shared/data/mnist")
def test_the_mnist_network_is_as_good_as_its_card_says() -> None:
    images = data.load("mnist", path=MNIST, validation=5000).test
    result = evaluate(load(NAME), images, ThreatModel("linf", 0.3), "quick", subset=300)
    assert result.clean > 0.96  # the card has 98.7 %, three standard errors are 2.2 points
    assert 0.80 < result.robust < 0.94  # 85.9 % against a stronger suite
