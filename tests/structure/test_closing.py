import torch
from torch import Tensor, nn
from torch.fx import Graph as Nodes

from advprune.structure.closing import close
from advprune.structure.flow import Flow
from advprune.structure.graph import Graph


def closed(labels: Tensor, before: Tensor | None = None) -> list[list[int]]:
    """Returns what is left of a grid's labels, with some ties made before."""
    flow = Flow(Graph((), {}, {}), nn.Module())
    flow.units.fresh("maker", int(labels.max()))
    node = Nodes().placeholder("x")
    flow.labels[node] = labels
    if before is not None:
        flow.units.tie(before[0], before[1])
    close(flow)
    found: list[list[int]] = flow.units.roots(labels).tolist()
    return found


def test_a_grid_goes_along_the_dimension_that_leaves_most_units() -> None:
    assert closed(torch.tensor([[1, 2, 3], [4, 5, 6]])) == [[1, 2, 3], [1, 2, 3]]


def test_what_is_tied_already_decides() -> None:
    """Heads whose width is summed over go whole, though there are fewer of them."""
    grid = torch.tensor([[1, 2, 3], [4, 5, 6]])
    width = torch.tensor([[1, 2, 4, 5], [2, 3, 5, 6]])
    assert closed(grid, width) == [[1, 1, 1], [4, 4, 4]]


def test_what_stays_in_a_slice_keeps_all_of_it() -> None:
    assert closed(torch.tensor([[1, 2], [3, 0], [4, 5]])) == [[1, 1], [0, 0], [4, 4]]


def test_of_two_dimensions_that_leave_as_many_the_inner_one_is_taken() -> None:
    """A shuffle by groups keeps their number, which classes have as a constant."""
    assert closed(torch.tensor([[1, 2], [3, 4]])) == [[1, 2], [1, 2]]
