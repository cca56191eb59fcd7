import torch
from torch import Tensor, nn

from advprune.structure import trace
from advprune.structure.parts import Examples

IMAGES = torch.rand(2, 1, 4, 4)


class Rows(nn.Module):
    """Two linear layers on the rows of an image, laid out in some way."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout, self.up, self.down = layout, nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        if self.layout == "rows first":
            return self._run(rows.transpose(0, 1)).mean(0)
        if self.layout == "rows first, merged":
            return self._run(rows.transpose(0, 1).reshape(-1, 4)).view(4, -1, 3).mean(0)
        if self.layout == "merged":
            return self._run(rows.reshape(-1, 4)).view(-1, 4, 3).mean(1)
        return self._run(rows).mean(1)

    def _run(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.down(torch.relu(self.up(rows)))
        return logits


def test_examples_are_found_wherever_a_layer_is_given_them() -> None:
    expected = {
        "plain": Examples(0),
        "merged": Examples(0, inner=4),
        "rows first": Examples(1),
        "rows first, merged": Examples(0, outer=4),
    }
    for layout, examples in expected.items():
        assert trace(Rows(layout), IMAGES).layers["down"].examples == examples, layout


def test_values_are_laid_out_by_example_channel_and_place() -> None:
    value = torch.rand(2, 5, 3)  # examples, places, channels
    expected = value.transpose(1, 2)
    assert torch.equal(Examples().first(value, -1), expected)
    assert torch.equal(Examples(1).first(value.transpose(0, 1), 2), expected)
    assert torch.equal(Examples(inner=5).first(value.flatten(0, 1), -1), expected)
    merged = value.transpose(0, 1).flatten(0, 1)
    assert torch.equal(Examples(outer=5).first(merged, -1), expected)


def test_each_place_gets_the_row_of_its_example() -> None:
    rows = torch.tensor([[1.0], [2.0]])
    assert Examples(outer=2, inner=2).spread(rows).flatten().tolist() == [1, 1, 2, 2, 1, 1, 2, 2]
