"""An OpenVINO file computed by torch, so that what ships has gradients of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from advprune.shipping.extras import need
from advprune.shipping.steps import Operator, Steps, average_pooled, padded, reshaped, rounded


class OpenVinoNetwork(Steps):
    """The network of an OpenVINO file, float32 or int8 by NNCF, with gradients.

    Args:
        path: The `.xml` file, its weights beside it.

    Raises:
        ValueError: If openvino is missing, or an operator is not known here; names it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(OPERATORS)
        for node in need("openvino").Core().read_model(path).get_ordered_ops():
            kind, name = node.get_type_name(), node.get_name()
            inputs = [_value(port) for port in node.input_values()]
            if kind == "Parameter":
                self._input = f"{name}.0"
            elif kind == "Result":
                (self._output,) = inputs
            elif kind == "Constant":
                self._constants[f"{name}.0"] = torch.from_numpy(np.array(node.get_data()))
            else:
                self.add(kind, node.get_friendly_name(), inputs, f"{name}.0", node.get_attributes())


def _value(port: Any) -> str:
    return f"{port.get_node().get_name()}.{port.get_index()}"


def _fake_quantize(
    x: Tensor,
    low: Tensor,
    high: Tensor,
    output_low: Tensor,
    output_high: Tensor,
    *,
    levels: int,
    **_: Any,
) -> Tensor:
    """OpenVINO's operation specification, FakeQuantize-1; outside of [low, high] no gradient."""
    inside = torch.minimum(torch.maximum(x, low), high)
    whole = rounded((inside - low) / (high - low) * (levels - 1))
    return whole / (levels - 1) * (output_high - output_low) + output_low


def _conv(
    x: Tensor,
    weight: Tensor,
    *,
    strides: list[int],
    dilations: list[int],
    pads_begin: list[int],
    pads_end: list[int],
    **_: Any,
) -> Tensor:
    x = padded(x, pads_begin, pads_end, 0)
    if weight.dim() == 4:
        return functional.conv2d(x, weight, None, strides, 0, dilations)
    groups = weight.shape[0]  # (groups, outputs, inputs, height, width)
    return functional.conv2d(x, weight.flatten(0, 1), None, strides, 0, dilations, groups)


def _max_pool(
    x: Tensor,
    *,
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
    pads_begin: list[int],
    pads_end: list[int],
    rounding_type: str,
    **_: Any,
) -> Tensor:
    x = padded(x, pads_begin, pads_end, -torch.inf)
    return functional.max_pool2d(x, kernel, strides, 0, dilations, rounding_type == "ceil")


def _average_pool(
    x: Tensor,
    *,
    kernel: list[int],
    strides: list[int],
    pads_begin: list[int],
    pads_end: list[int],
    rounding_type: str,
    **settings: Any,
) -> Tensor:
    return average_pooled(
        x,
        kernel,
        strides,
        (pads_begin, pads_end),
        ceil=rounding_type == "ceil",
        counts_padding=not settings.get("exclude-pad", True),
    )


def _matmul(a: Tensor, b: Tensor, *, transpose_a: bool, transpose_b: bool) -> Tensor:
    return (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)


def _gather(x: Tensor, index: Tensor, axis: Tensor, **_: Any) -> Tensor:
    dim = int(axis) % x.dim()
    taken = x.index_select(dim, index.flatten().to(torch.int64) % x.shape[dim])
    return taken.reshape(*x.shape[:dim], *index.shape, *x.shape[dim + 1 :])


_TYPES = {
    "f32": torch.float32,
    "f64": torch.float64,
    "i64": torch.int64,
    "i32": torch.int32,
    "i8": torch.int8,
    "u8": torch.uint8,
}

OPERATORS: dict[str, Operator] = {
    "Add": lambda a, b, **_: a + b,
    "AvgPool": _average_pool,
    "Clamp": lambda x, **limits: x.clamp(limits["min"], limits["max"]),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Convert": lambda x, destination_type: x.to(_TYPES[destination_type]),
    "Convolution": _conv,
    "Divide": lambda a, b, **_: a / b,
    "FakeQuantize": _fake_quantize,
    "Gather": _gather,
    "Gelu": lambda x, approximation_mode="ERF": functional.gelu(
        x, approximate="tanh" if approximation_mode.upper() == "TANH" else "none"
    ),
    "GroupConvolution": _conv,
    "HSigmoid": functional.hardsigmoid,
    "HSwish": functional.hardswish,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Multiply": lambda a, b, **_: a * b,
    "ReduceMean": lambda x, axes, keep_dims: x.mean(axes.tolist(), keepdim=keep_dims),
    "Relu": torch.relu,
    "Reshape": lambda x, shape, special_zero: reshaped(x, shape, zero_copies=special_zero),
    "Sigmoid": torch.sigmoid,
    "Softmax": lambda x, axis: x.softmax(axis),
    "Squeeze": lambda x, axes, **_: x.squeeze(axes.flatten().tolist()),
    "Subtract": lambda a, b, **_: a - b,
    "Swish": functional.silu,
    "Tanh": torch.tanh,
    "Transpose": lambda x, order: x.permute(order.tolist()),
    "Unsqueeze": lambda x, axes: x.unsqueeze(int(axes)),
}
"""Operators of OpenVINO with the inputs and attributes that `export` writes."""
