import pytest
import torch

from advprune.shipping.steps import Steps, rounded


class Doubled(Steps):
    """Images plus twice a constant."""

    def __init__(self) -> None:
        super().__init__({"Add": torch.add, "Mul": torch.mul})
        self._input, self._output = "images", "logits"
        self._constants = {"two": torch.tensor(2.0), "three": torch.tensor(3.0)}
        self.add("Mul", "first", ["two", "three"], "six", {})
        self.add("Add", "second", ["images", "six"], "logits", {})


def test_constants_are_computed_once_and_the_rest_at_every_pass() -> None:
    network = Doubled()
    assert len(network._steps) == 1
    assert network(torch.tensor([1.0])).tolist() == [7.0]


def test_an_unknown_operator_is_named_with_the_cure() -> None:
    with pytest.raises(ValueError, match=r"operator Sinh of 'third'.*known are Add, Mul.*twin"):
        Doubled().add("Sinh", "third", ["logits"], "x", {})


def test_rounding_goes_to_the_even_neighbour_with_a_slope_of_one() -> None:
    x = torch.tensor([0.5, 1.5, -0.4], requires_grad=True)
    assert rounded(x).tolist() == [0.0, 2.0, 0.0]
    assert torch.autograd.grad(rounded(x).sum(), x)[0].tolist() == [1, 1, 1]
