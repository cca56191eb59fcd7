from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advprune.structure.calls import calls, tensor_of
from advprune.structure.program import Held, Program, Step

X = torch.tensor([[1.0, -2.0]])


def value(operator: str, *arguments: Any, **keywords: Any) -> Any:
    """What one step gives, in a network with a tensor `a.t` and `a` in eval mode."""
    step = Step(
        name="s", operator=operator, arguments=list(arguments), keywords=keywords, module="a"
    )
    program = Program(steps=[step], output="s", tensors={"a.t": Held(kind="buffer")})
    network = nn.Module()
    network.a = nn.Module().eval()
    network.a.register_buffer("t", torch.tensor([3.0, 4.0]))
    return calls(program, (), training=False)[0].run(network, {}, X)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (value("aten.add.Tensor", {"input": 0}, {"tensor": "a.t"}), [[4.0, 2.0]]),
        (value("aten.clamp.default", {"input": 0}, {"number": "-inf"}, 0), [[0.0, -2.0]]),
        (value("aten.dropout.default", {"input": 0}, 1.0, {"training": "a"}), [[1.0, -2.0]]),
        (value("aten.view.default", {"input": 0}, [-1, 1]), [[1.0], [-2.0]]),
        (value("aten.full.default", [1], 2, dtype={"dtype": "input"}), [2.0]),
        (value("aten.full.default", [1], 2, dtype={"dtype": "int64"}), [2]),
    ],
)
def test_arguments_are_what_they_stand_for(found: Tensor, expected: list[Any]) -> None:
    assert torch.equal(found, torch.tensor(expected))


def test_values_are_forgotten_once_they_were_read_last() -> None:
    chain = [
        Step(name="one", operator="aten.relu.default", arguments=[{"input": 0}]),
        Step(name="two", operator="aten.relu.default", arguments=[{"step": "one"}]),
        Step(name="out", operator="aten.add.Tensor", arguments=[{"step": "one"}, {"step": "two"}]),
        Step(name="head", operator="aten.relu.default", arguments=[{"step": "two"}]),
    ]
    program = Program(steps=chain, output="out", tensors={}, training_outputs=["out", "head"])
    evaluated, trained = (calls(program, (), training) for training in (False, True))
    assert [call.forget for call in evaluated] == [(), (), ("one", "two")]
    assert [call.forget for call in trained] == [(), (), ("one",), ("two",)]


def test_a_tensor_is_found_by_its_name() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    assert tensor_of(net, "0.bias") is net[0].bias
