"""The operators that a stored graph may use: one list, looked up by name, of pure functions."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

CONVOLUTION = "aten.convolution.default"
LINEAR = "aten.linear.default"
BATCH_NORM = "aten.batch_norm.default"

_ATEN = """
_adaptive_avg_pool2d.default _adaptive_avg_pool3d.default _log_softmax.default
_native_batch_norm_legit.no_stats _softmax.default _to_copy.default abs.default acos.default
acosh.default adaptive_avg_pool1d.default adaptive_max_pool2d.default add.Scalar add.Tensor
addmm.default alias.default alpha_dropout.default amax.default amin.default any.default any.dim
any.dims arange.start_step argmax.default argmin.default as_strided.default asin.default
asinh.default atan.default atan2.default atanh.default avg_pool1d.default avg_pool2d.default
avg_pool3d.default batch_norm.default bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default
bitwise_or.Scalar bitwise_or.Tensor bitwise_xor.Scalar bitwise_xor.Tensor bmm.default cat.default
ceil.default clamp.default clamp.Tensor clone.default col2im.default constant_pad_nd.default
convolution.default cos.default cosh.default cumsum.default diagonal.default div.Scalar
div.Scalar_mode div.Tensor div.Tensor_mode dropout.default elu.default embedding.default eq.Scalar
eq.Tensor erf.default exp.default expand.default expm1.default feature_alpha_dropout.default
feature_dropout.default fill.Scalar flip.default floor.default fmod.Scalar fmod.Tensor full.default
full_like.default gather.default ge.Scalar ge.Tensor gelu.default grid_sampler_2d.default gt.Scalar
gt.Tensor hardtanh.default im2col.default index.Tensor index_select.default isinf.default
isnan.default le.Scalar le.Tensor leaky_relu.default linalg_vector_norm.default linear.default
log.default log10.default log1p.default log2.default logical_and.default logical_not.default
logical_or.default logical_xor.default lt.Scalar lt.Tensor max.dim max_pool2d_with_indices.default
max_pool3d_with_indices.default maximum.default mean.default mean.dim min.dim minimum.default
mm.default mul.Scalar mul.Tensor native_group_norm.default native_layer_norm.default ne.Scalar
ne.Tensor neg.default permute.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prod.default
prod.dim_int reciprocal.default reflection_pad1d.default reflection_pad2d.default
reflection_pad3d.default relu.default remainder.Scalar remainder.Tensor repeat.default
replication_pad2d.default replication_pad3d.default reshape.default roll.default round.default
rsqrt.default scalar_tensor.default scaled_dot_product_attention.default scatter.src scatter.value
scatter_add.default select.int select_scatter.default sigmoid.default sign.default silu.default
sin.default sinh.default slice.Tensor slice_scatter.default sort.default split_with_sizes.default
sqrt.default squeeze.dim squeeze.dims stack.default sub.Scalar sub.Tensor sum.dim_IntList
sym_size.int tan.default tanh.default topk.default transpose.int trunc.default unsqueeze.default
upsample_bicubic2d.vec upsample_bilinear2d.vec upsample_nearest2d.vec var.correction var.dim
view.default where.self
"""

_NUMBERS = ("add", "eq", "floordiv", "ge", "getitem", "gt", "le", "lt", "mod", "mul", "ne", "sub")
"""Arithmetic on sizes, and the choice of one of an operator's results."""


def name_of(target: Any) -> str:
    """Returns the name under which a graph node's operator is stored."""
    if isinstance(target, OpOverload):
        return str(target)
    return f"operator.{getattr(target, '__name__', target)}"


def operator_of(name: str) -> Callable[..., Any]:
    """Returns the operator of a name.

    Raises:
        ValueError: the name is not on the list.
    """
    if name not in OPERATORS:
        raise ValueError(f"operator {name!r} is not one that a stored graph may use")
    return OPERATORS[name]


def _aten(name: str) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    function: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload)
    return function


OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"aten.{name}": _aten(name) for name in _ATEN.split()},
    **{f"operator.{name}": getattr(operator, name) for name in _NUMBERS},
    "aten.view.default": torch.reshape,  # the same, for images in any memory format too
}
