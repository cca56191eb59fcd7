import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.structure import GraphNetwork, graph_network, trace
from advprune.structure.cut import CutNetwork
from advprune.structure.training import export_both

IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class Auxiliary(nn.Module):
    """A convolution whose maps the last layer reads, and in train mode a head of two layers too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)
        self.hidden, self.drop, self.aux = nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = functional.relu(self.norm(self.conv(x))).mean((2, 3))
        return (self.fc(x), self.head(x)) if self.training else self.fc(x)

    def head(self, x: Tensor) -> Tensor:
        logits: Tensor = self.aux(self.drop(functional.relu(self.hidden(x))))
        return logits


class Wayward(Auxiliary):
    """A head that looks at values, which no graph holds."""

    def head(self, x: Tensor) -> Tensor:
        return super().head(x) if bool(x.sum() > 0) else x[:, :3]


class Drawing(Auxiliary):
    """A head that draws a number an image, which no stored graph does."""

    def head(self, x: Tensor) -> Tensor:
        return super().head(x * (torch.rand(len(x), 1) + 0.5))


class Norming(Auxiliary):
    """A head with norms that have no statistics of their own, and attention with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.batch, self.instance = (
            nn.BatchNorm1d(4, track_running_stats=False),
            nn.InstanceNorm1d(4),
        )

    def head(self, x: Tensor) -> Tensor:
        row = self.instance(self.batch(x).unsqueeze(2).expand(-1, -1, 3)).transpose(1, 2)
        row = functional.scaled_dot_product_attention(row, row, row, dropout_p=0.5)
        return super().head(row.mean(1))


class Unused(nn.Sequential):
    """A network with a layer that never runs."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 3))
        self.spare = nn.Linear(2, 2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Sequential
        logits: Tensor = self[2](self[1](self[0](input)))
        return logits


@pytest.fixture(scope="module")
def as_graph() -> GraphNetwork:
    torch.manual_seed(0)
    return graph_network(Auxiliary().eval(), IMAGES)  # a warning would be an error


def test_what_train_mode_alone_runs_follows_what_it_shares_with_eval_mode() -> None:
    graph = export_both(Auxiliary(), IMAGES)
    operators = [str(node.target) for node in graph.training if node.op == "call_function"]
    linear = "aten.linear.default"
    assert operators == [linear, "aten.relu.default", "aten.clone.default", linear]
    assert len(graph.training_results) == 2


def test_norms_and_dropouts_are_those_of_eval_mode_whatever_they_keep() -> None:
    operators = [str(node.target) for node in export_both(Norming(), IMAGES).training]
    assert sum("no_stats" in name for name in operators) == 2
    assert not any("rand" in name or "bernoulli" in name or "dropout" in name for name in operators)


def test_a_layer_that_never_runs_adds_nothing() -> None:
    graph = export_both(Unused(), IMAGES)
    assert graph.training == graph.training_results == ()


def test_a_head_is_cut_along_with_what_it_reads_and_makes_no_units() -> None:
    structure = trace(Auxiliary(), IMAGES)
    assert list(structure.groups) == ["conv"]
    assert structure.blocked["hidden"] == "it runs in train mode alone"
    assert torch.equal(structure.slices["hidden.weight"][1], torch.arange(4))
    assert structure.macs() == 16 * 9 * 4 + 4 * 3  # the head costs nothing once it ships


def test_a_graph_trains_its_head(as_graph: GraphNetwork) -> None:
    optimiser = torch.optim.SGD(as_graph.train().parameters(), lr=0.1)
    before = as_graph.get_parameter("hidden.weight").detach().clone()
    main, auxiliary = as_graph(IMAGES)
    y = torch.tensor([0, 1, 2, 0])
    loss = functional.cross_entropy(main, y) + functional.cross_entropy(auxiliary, y)
    torch.autograd.backward(loss)
    optimiser.step()
    assert not torch.equal(as_graph.get_parameter("hidden.weight"), before)
    assert as_graph.eval()(IMAGES).shape == (4, 3)


def test_a_graph_is_cut_with_its_head(as_graph: GraphNetwork) -> None:
    """The maps that go are silent, so that both answers of train mode stay."""
    structure = trace(as_graph, IMAGES)
    keep = torch.tensor([True, False, True, False])
    as_graph.train().get_submodule("drop").eval()
    cut = CutNetwork(as_graph, structure, keep)
    network = cut.refresh(torch.ones(4)).train()
    network.get_submodule("drop").eval()
    with torch.no_grad():
        for name in ("norm.weight", "norm.bias"):
            as_graph.get_parameter(name)[~keep] = 0
    torch.testing.assert_close(network(IMAGES), as_graph(IMAGES))
    assert network.get_parameter("hidden.weight").shape == (5, 2)


def test_a_head_that_no_graph_holds_is_warned_of() -> None:
    said = r"does not read aux\.bias.*hidden\.weight in eval mode.*fails once the network is cut"
    with pytest.warns(UserWarning, match=said):
        assert trace(Wayward(), IMAGES).layers.keys() == {"conv", "fc"}


def test_a_head_that_no_stored_graph_holds_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="in train mode the graph of Drawing is not the model"):
        network = graph_network(Drawing(), IMAGES)
    assert network.graph_program.training_outputs == []
    assert network.train()(IMAGES).shape == (4, 3)
    assert "hidden" in trace(Drawing(), IMAGES).layers
