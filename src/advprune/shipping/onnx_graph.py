"""An ONNX file computed by torch, so that what ships has gradients of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from advprune.shipping.extras import need
from advprune.shipping.steps import Operator, Steps, average_pooled, padded, reshaped, rounded


class OnnxNetwork(Steps):
    """The network of an ONNX file, float32 or int8 with QDQ pairs, with gradients.

    Args:
        path: The file.

    Raises:
        ValueError: If onnx is missing, or an operator is not known here; names it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(OPERATORS)
        onnx = need("onnx")
        graph = onnx.load(path).graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        to_array = onnx.numpy_helper.to_array
        self._constants = {
            entry.name: torch.from_numpy(np.array(to_array(entry))) for entry in graph.initializer
        }
        for node in graph.node:
            attributes = {item.name: _plain(onnx, item) for item in node.attribute}
            self.add(node.op_type, node.name, list(node.input), node.output[0], attributes)


def _plain(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return torch.from_numpy(np.array(onnx.numpy_helper.to_array(value)))
    return value.decode() if isinstance(value, bytes) else value


def _quantize(x: Tensor, scale: Tensor, zero: Tensor, *, axis: int = 1, **_: Any) -> Tensor:
    limits = torch.iinfo(zero.dtype)
    whole = rounded(x / _along(scale, axis, x))
    return (whole + _along(zero, axis, x)).clamp(limits.min, limits.max)


def _dequantize(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, **_: Any
) -> Tensor:
    offset = 0 if zero is None else _along(zero, axis, x).to(scale.dtype)
    return (x.to(scale.dtype) - offset) * _along(scale, axis, x)


def _along(values: Tensor, axis: int, x: Tensor) -> Tensor:
    """One value for the whole tensor, or one for each index of an axis."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * x.dim()
    shape[axis] = -1
    return values.view(shape)


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: list[int],
    pads: list[int],
    dilations: list[int],
    group: int,
    **_: Any,
) -> Tensor:
    x = padded(x, pads[:2], pads[2:], 0)
    return functional.conv2d(x, weight, bias, strides, 0, dilations, group)


def _max_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    strides: list[int],
    pads: list[int],
    dilations: list[int],
    ceil_mode: int = 0,
    **_: Any,
) -> Tensor:
    x = padded(x, pads[:2], pads[2:], -torch.inf)
    return functional.max_pool2d(x, kernel_shape, strides, 0, dilations, bool(ceil_mode))


def _average_pool(
    x: Tensor,
    *,
    kernel_shape: list[int],
    strides: list[int],
    pads: list[int],
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    **_: Any,
) -> Tensor:
    return average_pooled(
        x,
        kernel_shape,
        strides,
        (pads[:2], pads[2:]),
        ceil=bool(ceil_mode),
        counts_padding=bool(count_include_pad),
    )


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
) -> Tensor:
    product = alpha * (a.t() if transA else a) @ (b.t() if transB else b)
    return product if c is None else product + beta * c


def _reduce_mean(x: Tensor, axes: Tensor, *, keepdims: int = 1, **_: Any) -> Tensor:
    return x.mean(axes.tolist(), keepdim=bool(keepdims))


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low, high)


def _batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    **_: Any,
) -> Tensor:
    return functional.batch_norm(x, mean, variance, scale, bias, eps=epsilon)


def _layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    **_: Any,
) -> Tensor:
    return functional.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, b: a + b,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Constant": lambda value: value,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": lambda a, b: a / b,
    "Erf": torch.erf,
    "Flatten": lambda x, axis=1: x.reshape(x.shape[:axis].numel(), -1),
    "Gather": lambda x, index, axis=0: x.index_select(axis, index),
    "Gelu": lambda x, approximate="none": functional.gelu(x, approximate=approximate),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1),
    "HardSwish": functional.hardswish,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": torch.matmul,
    "MaxPool": _max_pool,
    "Mul": lambda a, b: a * b,
    "QuantizeLinear": _quantize,
    "ReduceMean": _reduce_mean,
    "Relu": torch.relu,
    "Reshape": lambda x, shape, allowzero=0: reshaped(x, shape, zero_copies=not allowzero),
    "Sigmoid": torch.sigmoid,
    "Softmax": lambda x, axis=-1: x.softmax(axis),
    "Sqrt": torch.sqrt,
    "Squeeze": lambda x, axes: x.squeeze(axes.tolist()),
    "Sub": lambda a, b: a - b,
    "Tanh": torch.tanh,
    "Transpose": lambda x, perm: x.permute(perm),
}
"""Operators of ONNX with the inputs and attributes that `export` writes."""
