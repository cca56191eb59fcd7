import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.structure import GraphNetwork, graph_network, recalibrate, trace
from advprune.structure.program import Program
from advprune.structure.resize import resize


def alike(model: nn.Module, network: nn.Module, x: Tensor) -> None:
    """Asserts equal answers where both draw the same random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = model(x)
        torch.manual_seed(3)
        torch.testing.assert_close(network(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_graph_answers_like_its_model_for_any_batch(
    everything: nn.Module, everything_as_graph: GraphNetwork, batch: int
) -> None:
    alike(everything.eval(), everything_as_graph.eval(), torch.rand(batch, 1, 4, 4))


def test_a_graph_trains_like_its_model(
    everything: nn.Module, everything_as_graph: GraphNetwork, images: Tensor
) -> None:
    """Dropout and batch norm in train mode, gradients, steps, and what eval mode makes of it."""
    y = torch.tensor([0, 1, 2, 0, 1])
    nets = (everything.train(), everything_as_graph.train())
    for net in nets:
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for _ in range(3):
                optimiser.zero_grad()
                torch.autograd.backward(functional.cross_entropy(net(images), y))
                optimiser.step()
    for name, value in everything.state_dict().items():
        torch.testing.assert_close(everything_as_graph.state_dict()[name], value, msg=name)
    alike(everything.eval(), everything_as_graph.eval(), images)


def test_each_module_keeps_its_own_mode(
    everything: nn.Module, everything_as_graph: GraphNetwork, images: Tensor
) -> None:
    for net in (everything, everything_as_graph):
        net.train()
        for name in ("bn", "maps"):
            net.get_submodule(name).eval()
    alike(everything, everything_as_graph, images)
    statistics = everything_as_graph.get_submodule("bn").running_mean
    assert torch.equal(statistics, torch.zeros(4))  # type: ignore[arg-type]


def test_dropout_drops_the_stated_share(everything_as_graph: GraphNetwork) -> None:
    seen: list[Tensor] = []
    everything_as_graph.get_submodule("tied").register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs[0])
    )
    everything_as_graph.get_parameter("hidden.bias").data.fill_(50.0)  # nothing is 0 by itself
    everything_as_graph.train()(torch.rand(2000, 1, 4, 4))
    zero = float((seen[0] == 0).double().mean())
    assert zero == pytest.approx(1 - 0.5 * 0.8, abs=0.02)


def test_names_tying_and_freezing_are_the_models(
    everything: nn.Module, everything_as_graph: GraphNetwork
) -> None:
    net = everything_as_graph
    assert list(net.state_dict()) == list(everything.state_dict())
    assert net.get_parameter("tied.weight") is net.get_parameter("out.weight")
    frozen = [name for name, value in net.named_parameters() if not value.requires_grad]
    assert frozen == ["hidden.bias"]
    net.load_state_dict(everything.state_dict())


def test_layers_are_torchs_own(everything_as_graph: GraphNetwork) -> None:
    net = everything_as_graph
    assert isinstance(net.get_submodule("again"), nn.Conv2d)
    average = net.get_submodule("average")
    assert isinstance(average, nn.BatchNorm2d)
    assert average.momentum is None
    assert net.get_submodule("hidden").extra_repr() == "in_features=16, out_features=4, bias=True"


def test_a_copy_stands_alone(everything_as_graph: GraphNetwork, images: Tensor) -> None:
    expected = everything_as_graph.eval()(images)
    twin = copy.deepcopy(everything_as_graph)
    twin.get_parameter("out.weight").data.zero_()
    assert torch.equal(everything_as_graph(images), expected)
    assert not torch.equal(twin(images), expected)


def test_double_precision_is_double_throughout(
    everything: nn.Module, everything_as_graph: GraphNetwork, images: Tensor
) -> None:
    x = images.double()
    expected, found = everything.double().eval()(x), everything_as_graph.double().eval()(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_json_brings_the_network_back(everything_as_graph: GraphNetwork, images: Tensor) -> None:
    text = everything_as_graph.graph_program.model_dump_json()
    held = {name: value.detach().clone() for name, value in everything_as_graph.held().items()}
    again = GraphNetwork(Program.model_validate_json(text), held)
    assert list(again.state_dict()) == list(everything_as_graph.state_dict())
    alike(everything_as_graph.train(), again.train(), images)
    alike(everything_as_graph.eval(), again.eval(), images)


def test_a_hard_coded_width_is_cut_by_rewriting_the_graph(
    everything_as_graph: GraphNetwork, images: Tensor
) -> None:
    """The second call's channel 0 is silenced and cut from the layers that only it feeds."""
    net = everything_as_graph.eval()
    keep, positions = torch.tensor([1, 2, 3]), torch.arange(4, 16)
    (view,) = (step for step in net.graph_program.steps if step.operator == "aten.view.default")
    net.get_parameter("hidden.weight").data[:, :4] = 0
    expected = net(images)
    norm = {f"average.{name}": {0: keep} for name in ("weight", "bias", "running_mean")}
    resize(net, {**norm, "average.running_var": {0: keep}, "offset": {0: keep}})
    resize(net, {"hidden.weight": {1: positions}})
    program = net.graph_program.rewritten({view.name: {1: [-1, 12]}})
    tensors = {name: value.detach() for name, value in net.held().items()}
    second = next(step for step in reversed(program.steps) if step.module == "again")
    index = {"step": second.name}
    assert view.arguments[1] == [-1, 16]
    cut = GraphNetwork(_choosing(program, index, keep.tolist()), tensors).eval()
    torch.testing.assert_close(cut(images), expected)


def _choosing(program: Program, value: dict[str, str], keep: list[int]) -> Program:
    """The program with one value narrowed to its channels from the first kept one on."""
    content = program.model_dump()
    steps = content["steps"]
    at = [step["name"] for step in steps].index(value["step"])
    for step in steps[at + 1 :]:
        step["arguments"] = [{"step": "narrow"} if a == value else a for a in step["arguments"]]
    steps.insert(
        at + 1,
        {
            "name": "narrow",
            "operator": "aten.slice.Tensor",
            "arguments": [value, 1, keep[0], keep[-1] + 1],
        },
    )
    return Program.model_validate(content)


def test_batch_norm_is_recalibrated_like_the_models(
    everything: nn.Module, everything_as_graph: GraphNetwork, images: Tensor
) -> None:
    for net in (everything, everything_as_graph):
        recalibrate(net, [images])
    alike(everything.eval(), everything_as_graph.eval(), images)


def test_a_graph_can_be_analysed_like_its_model() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    example = torch.rand(2, 1, 4, 4)
    network = graph_network(model.eval(), example)
    assert not network.training
    assert trace(network, example).groups == trace(model, example).groups


def test_tensors_that_do_not_belong_are_named(everything_as_graph: GraphNetwork) -> None:
    held = everything_as_graph.held()
    del held["offset"]
    with pytest.raises(ValueError, match="'offset'"):
        GraphNetwork(everything_as_graph.graph_program, held)


class Depth(nn.Module):
    """Drops its branch at random while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.out = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        branch = self.branch(x)
        if self.training:
            branch = branch * (torch.rand(len(x), 1) < 0.5)
        logits: Tensor = self.out(x + branch)
        return logits


def test_what_only_training_does_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"in train mode the graph of Depth is not the model"):
        graph_network(Depth(), torch.rand(1, 1, 4, 4))


def test_nothing_is_warned_of_where_nothing_is_lost() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        graph_network(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), torch.rand(1, 1, 4, 4))
