"""Operators on each element by itself: units that meet are tied."""

from torch.fx import Node

from advprune.structure.flow import Flow, Labels, rule

ELEMENTWISE = """
_prelu_kernel _to_copy abs acos acosh add.Scalar add.Tensor alias asin asinh atan atan2 atanh
bitwise_and.Scalar bitwise_and.Tensor bitwise_not bitwise_or.Scalar bitwise_or.Tensor
bitwise_xor.Tensor ceil clamp clamp.Tensor clamp_max clamp_min clone cos cosh detach detach_
div.Scalar div.Scalar_mode div.Tensor div.Tensor_mode elu eq.Scalar eq.Tensor erf exp expm1 floor
fmod.Scalar fmod.Tensor full_like ge.Scalar ge.Tensor gelu gt.Scalar gt.Tensor hardsigmoid
hardswish hardtanh isinf isnan le.Scalar le.Tensor leaky_relu lift_fresh_copy log log10 log1p log2
log_sigmoid_forward logical_and logical_not logical_or logical_xor lt.Scalar lt.Tensor maximum
minimum mish mul.Scalar mul.Tensor nan_to_num ne.Scalar ne.Tensor neg ones_like pow.Scalar
pow.Tensor_Scalar pow.Tensor_Tensor reciprocal relu relu6 remainder.Scalar remainder.Tensor round
rsqrt rsub.Scalar sigmoid sign silu sin sinh softplus sqrt square sub.Scalar sub.Tensor tan tanh
threshold trunc where.self zeros_like
"""


@rule(*(f"aten.{name}" if "." in name else f"aten.{name}.default" for name in ELEMENTWISE.split()))
def _elementwise(flow: Flow, node: Node) -> Labels:
    return flow.meet(node, *node.args)
