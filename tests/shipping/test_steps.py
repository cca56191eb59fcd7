import pytest
import torch

from advprune.shipping.steps import Steps, average_pooled, padded, reshaped, rounded


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


def test_padding_is_added_before_and_after_rows_and_columns() -> None:
    x = torch.ones(1, 1, 1, 1)
    assert padded(x, (1, 0), (0, 2), 5.0).tolist() == [[[[5, 5, 5], [1, 5, 5]]]]
    assert padded(x, (0, 0), (0, 0), 5.0) is x


def test_an_average_counts_its_padding_or_leaves_it_out() -> None:
    x, kernel, pads = torch.tensor([[[[2.0, 4.0]]]]), [1, 2], ((0, 1), (0, 1))
    counted = average_pooled(x, kernel, [1, 1], pads, ceil=False, counts_padding=True)
    assert counted.tolist() == [[[[1, 3, 2]]]]
    left_out = average_pooled(x, kernel, [1, 1], pads, ceil=False, counts_padding=False)
    assert left_out.tolist() == [[[[2, 3, 4]]]]


def test_a_size_of_zero_copies_only_where_it_may() -> None:
    x, shape = torch.ones(2, 6), torch.tensor([0, 3, -1])
    assert reshaped(x, shape, zero_copies=True).shape == (2, 3, 2)
    assert reshaped(x[:0], torch.tensor([0, 3]), zero_copies=False).shape == (0, 3)
