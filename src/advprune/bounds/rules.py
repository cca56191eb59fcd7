"""One small rule per operator: which affine maps and ReLUs it is."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from advprune.bounds.operators import Affine, Relu, Term
from advprune.bounds.steps import Binding, input_shape, monotone, refused, rule, scaling
from advprune.structure.graph import BATCH, shape_of


@rule("aten.convolution.default")
def _convolution(binding: Binding, node: Node) -> None:
    arguments: tuple[Any, ...] = node.args
    _, weight, bias, stride, padding, dilation, transposed, _, groups = arguments
    if transposed:
        raise refused(node, "transposed convolutions have no rule yet")
    kernel, offset = binding.constant(weight), binding.constant(bias)
    shape = input_shape(node)[1:]
    extra = _output_padding(shape, kernel.shape[2:], stride, padding, dilation)
    size = kernel.abs()

    def forward(x: Tensor, weights: Tensor) -> Tensor:
        return torch.convolution(
            x, weights, None, stride, padding, dilation, False, [0] * len(shape), groups
        )

    def transpose(coefficients: Tensor) -> Tensor:
        flat = torch.convolution(
            coefficients.flatten(0, 1), kernel, None, stride, padding, dilation, True, extra, groups
        )
        return flat.view(*coefficients.shape[:2], *flat.shape[1:])

    term = Term(lambda x: forward(x, kernel), lambda x: forward(x, size), transpose)
    lined = None if offset is None else offset.view(1, -1, *[1] * len(shape))
    binding.add(node, Affine((term,), lined), _gated(binding, node))


@rule("aten.linear.default")
def _linear(binding: Binding, node: Node) -> None:
    weight = binding.constant(node.args[1])
    size = weight.abs()
    term = Term(lambda x: x @ weight.T, lambda x: x @ size.T, lambda a: a @ weight)
    offset = binding.constant(node.args[2]) if len(node.args) > 2 else None
    binding.add(node, Affine((term,), offset), _gated(binding, node))


@rule("aten.relu.default")
def _relu(binding: Binding, node: Node) -> None:
    binding.add(node, Relu(), binding.name(node, node.args[0]))


@rule("aten._native_batch_norm_legit_no_training.default")
def _batch_norm(binding: Binding, node: Node) -> None:
    weight, bias, mean, variance, _, eps = (binding.constant(value) for value in node.args[1:])
    factor = (variance + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * factor
    lined = (1, -1, *[1] * (len(input_shape(node)) - 1))
    operator = Affine((scaling(factor.view(lined)),), shift.view(lined))
    binding.add(node, operator, binding.name(node, node.args[0]))


@rule(
    "aten.avg_pool2d.default",
    "aten._adaptive_avg_pool2d.default",
    "aten.mean.dim",
    "aten.index_select.default",
)
def _linear_map(binding: Binding, node: Node) -> None:
    shape = input_shape(node)
    others = [binding.constant(value) for value in node.args[1:]]
    kind = str(node.target)
    if kind in {"aten.mean.dim", "aten.index_select.default"}:
        dims = others[0] if isinstance(others[0], Sequence) else [others[0]]
        if any(dim % (len(shape) + 1) == 0 for dim in dims):
            raise refused(node, "it mixes or picks examples of the batch")
    target: Any = node.target
    term = monotone(lambda x: target(x, *others), shape)
    binding.add(node, Affine((term,)), binding.name(node, node.args[0]))


@rule("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
def _view(binding: Binding, node: Node) -> None:
    before, (first, *after) = input_shape(node), shape_of(node)
    if first != BATCH:
        raise refused(node, f"the new shape {(first, *after)} does not keep the batch apart")

    def apply(x: Tensor) -> Tensor:
        return x.reshape(len(x), *after)

    term = Term(apply, apply, lambda a: a.reshape(*a.shape[:2], *before))
    binding.add(node, Affine((term,)), binding.name(node, node.args[0]))


@rule("aten.neg.default")
def _negative(binding: Binding, node: Node) -> None:
    binding.add(node, Affine((scaling(-1.0),)), binding.name(node, node.args[0]))


@rule("aten.clone.default", "aten.alias.default")
def _same(binding: Binding, node: Node) -> None:
    binding.alias(node, binding.name(node, node.args[0]))


@rule("<built-in function getitem>")
def _getitem(binding: Binding, node: Node) -> None:
    if node.args[1] != 0:
        raise refused(node, "only the first result of the operator has a rule")
    binding.alias(node, binding.name(node, node.args[0]))


@rule("aten.add.Tensor", "aten.sub.Tensor")
def _sum(binding: Binding, node: Node) -> None:
    sign = 1.0 if str(node.target) == "aten.add.Tensor" else -1.0
    signs = dict(zip(node.args, (1.0, sign), strict=True))
    if node.kwargs:
        raise refused(node, f"its option {next(iter(node.kwargs))} has no rule")
    values = [argument for argument in node.args if binding.is_value(argument)]
    if len(values) == 2 and input_shape(node, 0) != input_shape(node, 1):
        raise refused(node, "values of different shapes meet, which has no rule yet")
    if len(values) == 2 and values[0] is values[1]:
        raise refused(node, "a value meets itself, which has no rule yet")
    offset = None
    for argument in node.args:
        if not binding.is_value(argument):
            offset = signs[argument] * _lined(binding, node, argument)
    terms = tuple(scaling(signs[value]) for value in values)
    binding.add(node, Affine(terms, offset), *(binding.name(node, value) for value in values))


@rule("aten.mul.Tensor", "aten.div.Tensor")
def _scaled(binding: Binding, node: Node) -> None:
    value, factor = node.args
    divides = str(node.target) == "aten.div.Tensor"
    if not binding.is_value(value) and not divides:
        value, factor = factor, value
    if not binding.is_value(value) or binding.is_value(factor):
        raise refused(node, "a product or quotient of two values is not linear")
    number = _lined(binding, node, factor)
    operator = Affine((scaling(1 / number if divides else number),))
    binding.add(node, operator, binding.name(node, value))


def _lined(binding: Binding, node: Node, argument: Any) -> Tensor:
    """A constant that broadcasts against the node's value, with as many dimensions."""
    constant = torch.as_tensor(binding.constant(argument))
    rank = len(shape_of(node))
    value = next(number for number, one in enumerate(node.args) if binding.is_value(one))
    if input_shape(node, value) != shape_of(node)[1:]:
        raise refused(node, "a constant makes the value larger, which has no rule yet")
    if constant.dim() == rank and constant.shape[0] != 1:
        raise refused(node, "a constant differs from example to example of the batch")
    return constant.reshape(*[1] * (rank - constant.dim()), *constant.shape)


def _gated(binding: Binding, node: Node) -> str:
    """The layer's input, multiplied by its gates where it has some."""
    source, factor = binding.name(node, node.args[0]), binding.factor(node)
    if factor is None:
        return source
    shape = input_shape(node)
    last = str(node.target) == "aten.linear.default"
    ones = [1] * (len(shape) - 1)
    lined = factor.view(len(factor), *ones, -1) if last else factor.view(*factor.shape, *ones)
    return binding.add(node, Affine((scaling(lined),)), source, part=".gated")


def _output_padding(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Any,
    padding: Any,
    dilation: Any,
) -> list[int]:
    """Rows and columns that the transposed convolution must add to reach the input's shape."""
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded = [n + 2 * p for n, p in zip(shape, padding, strict=True)]
    return [(n - r) % s for n, r, s in zip(padded, reach, stride, strict=True)]
