from typing import Any

import torch
from torch import nn

from advprune.structure.layers import layer_of, layers
from advprune.structure.program import Held, Program, Step


def linear(name: str, weight: str, bias: str | None) -> Step:
    held = {"tensor": bias} if bias else None
    return Step(
        name=name,
        operator="aten.linear.default",
        arguments=[{"input": 0}, {"tensor": weight}, held],
    )


def convolution(name: str, stride: int, *, transposed: bool = False, groups: int = 1) -> Step:
    arguments: list[Any] = [{"input": 0}, {"tensor": "c.weight"}, None, [stride, 1], [0, 0], [1, 1]]
    return Step(
        name=name,
        operator="aten.convolution.default",
        arguments=[*arguments, transposed, [0, 0], groups],
    )


def program(*steps: Step) -> Program:
    tensors = dict.fromkeys(("a.weight", "a.bias", "b.bias", "c.weight"), Held(kind="parameter"))
    return Program(steps=list(steps), output=steps[-1].name, tensors=tensors)


TENSORS = {"a.weight": torch.ones(3, 2), "c.weight": torch.ones(6, 2, 3, 1)}


def test_a_step_belongs_to_the_layer_that_holds_all_it_reads() -> None:
    assert layer_of(linear("x", "a.weight", "a.bias")) == "a"
    assert layer_of(linear("x", "a.weight", "b.bias")) is None
    assert layer_of(Step(name="x", operator="aten.relu.default", arguments=[{"input": 0}])) is None


def test_a_layer_has_the_shape_of_its_tensors() -> None:
    (made,) = layers(program(linear("x", "a.weight", "a.bias")), TENSORS).values()
    assert isinstance(made, nn.Linear)
    assert (made.in_features, made.out_features) == (2, 3)
    (made,) = layers(program(convolution("x", 2, groups=3)), TENSORS).values()
    assert isinstance(made, nn.Conv2d)
    assert (made.in_channels, made.out_channels, made.stride) == (6, 6, (2, 1))
    (made,) = layers(program(convolution("x", 2, transposed=True)), TENSORS).values()
    assert isinstance(made, nn.ConvTranspose2d)
    assert (made.in_channels, made.out_channels, made.kernel_size) == (6, 2, (3, 1))


def test_a_weight_that_is_used_in_two_ways_is_no_layer() -> None:
    assert list(layers(program(convolution("x", 2), convolution("y", 2)), TENSORS)) == ["c"]
    assert not layers(program(convolution("x", 2), convolution("y", 1)), TENSORS)


def test_a_layer_whose_bias_is_left_unread_is_none() -> None:
    assert not layers(program(linear("x", "a.weight", None)), TENSORS)
