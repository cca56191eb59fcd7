"""Running the steps of a stored graph."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advprune.structure.layers import layer_of
from advprune.structure.operators import operator_of
from advprune.structure.program import Program, Step

Later = Callable[[nn.Module, Mapping[str, Any], Tensor], Any]
"""An argument that is known once the network runs: from the network, earlier values, images."""


@dataclass(frozen=True)
class Call:
    """One step, ready to run.

    Attributes:
        name: of the value.
        run: gives the value from the network, the earlier values and the images.
        forget: values that no later step reads.
    """

    name: str
    run: Later
    forget: tuple[str, ...]


def calls(program: Program, layers: Iterable[str], training: bool) -> tuple[Call, ...]:
    """Returns the steps that a program runs in a mode, ready to run.

    Everything of the network is looked up by name at each run, so that layers and tensors may be
    replaced and the network copied.

    Args:
        program: the graph.
        layers: names of torch's own layers, which run their steps by being called.
        training: whether in train mode.
    """
    own = set(layers)
    steps = program.run(training)
    forget = _forgotten(steps, program.outputs(training))
    return tuple(
        Call(
            step.name,
            _layer(step) if layer_of(step) in own else _operator(step),
            tuple(forget.get(step.name, ())),
        )
        for step in steps
    )


def _forgotten(steps: Iterable[Step], outputs: Collection[str]) -> dict[str, list[str]]:
    """Returns, by step, the values that it reads last."""
    last = {name: step.name for step in steps for name in step.read()}
    forgotten: dict[str, list[str]] = {}
    for name, reader in last.items():
        if name not in outputs:
            forgotten.setdefault(reader, []).append(name)
    return forgotten


def _layer(step: Step) -> Later:
    path = _path(str(layer_of(step)))
    read = _later(step.arguments[0])
    return lambda network, values, x: _module(network, path)(read(network, values, x))


def _operator(step: Step) -> Later:
    function = operator_of(step.operator)
    arguments = [_later(argument) for argument in step.arguments]
    keywords = {key: _later(value) for key, value in step.keywords.items()}

    def run(network: nn.Module, values: Mapping[str, Any], x: Tensor) -> Any:
        return function(
            *[argument(network, values, x) for argument in arguments],
            **{key: value(network, values, x) for key, value in keywords.items()},
        )

    return run


def _later(value: Any) -> Later:
    if isinstance(value, dict):
        ((kind, name),) = value.items()
        return _KINDS[kind](name)
    if isinstance(value, list):
        items = [_later(item) for item in value]
        return lambda network, values, x: [item(network, values, x) for item in items]
    return lambda _network, _values, _x: value


def _step(name: str) -> Later:
    return lambda _network, values, _x: values[name]


def _input(_number: int) -> Later:
    return lambda _network, _values, x: x


def tensor_of(network: nn.Module, name: str) -> Tensor:
    """Returns a tensor of the network by its qualified name."""
    owner, _, attribute = name.rpartition(".")
    found: Tensor = getattr(network.get_submodule(owner), attribute)
    return found


def _tensor(name: str) -> Later:
    owner, _, attribute = name.rpartition(".")
    path = _path(owner)
    return lambda network, _values, _x: getattr(_module(network, path), attribute)


def _training(module: str) -> Later:
    path = _path(module)
    return lambda network, _values, _x: _module(network, path).training


def _dtype(name: str) -> Later:
    if name == "input":
        return lambda _network, _values, x: x.dtype
    return _constant(getattr(torch, name))


def _device(_name: str) -> Later:
    return lambda _network, _values, x: x.device


def _memory_format(name: str) -> Later:
    return _constant(getattr(torch, name))


def _number(text: str) -> Later:
    return _constant(float(text))


def _constant(value: Any) -> Later:
    return lambda _network, _values, _x: value


_KINDS: dict[str, Callable[[Any], Later]] = {
    "step": _step,
    "input": _input,
    "tensor": _tensor,
    "training": _training,
    "dtype": _dtype,
    "device": _device,
    "memory_format": _memory_format,
    "number": _number,
}


def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split(".")) if name else ()


def _module(network: nn.Module, path: tuple[str, ...]) -> nn.Module:
    for name in path:
        network = network._modules[name]  # type: ignore[assignment] # noqa: SLF001 - several times a step
    return network
