"""Torch's own layers for the steps that compute what such a layer does."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from advprune.structure.operators import BATCH_NORM, CONVOLUTION, LINEAR
from advprune.structure.program import Program, Step

_HELD = {
    CONVOLUTION: ("weight", "bias"),
    LINEAR: ("weight", "bias"),
    BATCH_NORM: ("weight", "bias", "running_mean", "running_var"),
}
"""Names of the tensors that such a layer holds, in the order of the operator's arguments."""


def layer_of(step: Step) -> str | None:
    """Returns the layer whose own tensors are all that a step reads beside its input, if any."""
    names = _HELD.get(step.operator)
    if names is None or len(step.arguments) < 2 or step.keywords:
        return None
    given = step.arguments[1 : 1 + len(names)]
    read = [argument.get("tensor", "") for argument in given if argument is not None]
    owner = read[0].rpartition(".")[0] if read else ""
    own = [f"{owner}.{name}" for name, argument in zip(names, given, strict=False) if argument]
    return owner if owner and read == own else None


def layers(program: Program, tensors: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """Returns, by name, torch's own layers for what always runs alike; values are still to come."""
    steps: dict[str, list[Step]] = {}
    for step in program.steps:
        name = layer_of(step)
        if name is not None:
            steps.setdefault(name, []).append(step)
    return {
        name: _MAKERS[first.operator](first, tensors, name)
        for name, (first, *others) in steps.items()
        if all(_alike(first, other) for other in others) and _reads_all(first, program, name)
    }


def _alike(one: Step, other: Step) -> bool:
    return one.operator == other.operator and one.arguments[1:] == other.arguments[1:]


def _reads_all(step: Step, program: Program, name: str) -> bool:
    """Whether the step reads, say, the bias if there is one: torch's layer would."""
    return all(
        argument is not None or f"{name}.{held}" not in program.tensors
        for held, argument in zip(_HELD[step.operator], step.arguments[1:], strict=False)
    )


def _convolution(step: Step, tensors: Mapping[str, Tensor], name: str) -> nn.Module:
    _, _, bias, stride, padding, dilation, transposed, output_padding, groups = step.arguments
    shape = tensors[f"{name}.weight"].shape
    ends = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
    settings = {"output_padding": tuple(output_padding)} if transposed else {}
    return _CONVOLUTIONS[transposed][len(shape) - 3](
        *ends,
        kernel_size=tuple(shape[2:]),
        stride=tuple(stride),
        padding=tuple(padding),
        dilation=tuple(dilation),
        groups=groups,
        bias=bias is not None,
        device="meta",
        **settings,
    )


def _linear(step: Step, tensors: Mapping[str, Tensor], name: str) -> nn.Module:
    outputs, inputs = tensors[f"{name}.weight"].shape
    bias = len(step.arguments) > 2 and step.arguments[2] is not None
    return nn.Linear(inputs, outputs, bias=bias, device="meta")


def _batch_norm(step: Step, tensors: Mapping[str, Tensor], name: str) -> nn.Module:
    _, weight, _, _, _, _, momentum, eps, _ = step.arguments
    kind = _BATCH_NORMS[len(step.shape or [])]
    channels = len(tensors[f"{name}.running_mean"])
    return kind(channels, eps, momentum, affine=weight is not None, device="meta")


_CONVOLUTIONS: dict[bool, tuple[Callable[..., nn.Module], ...]] = {
    False: (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    True: (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}
_BATCH_NORMS: dict[int, Callable[..., nn.Module]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}
_MAKERS: dict[str, Callable[[Step, Mapping[str, Tensor], str], nn.Module]] = {
    CONVOLUTION: _convolution,
    LINEAR: _linear,
    BATCH_NORM: _batch_norm,
}
