"""Adam for a named group of parameters, whose state can be named, cut and put back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advprune.gates import GatedModel
from advprune.structure import resize
from advprune.training.settings import Phase

Named = dict[str, nn.Parameter]
Slices = Mapping[str, Mapping[int, Tensor]]


@dataclass
class Group:
    """Parameters with a rate of their own.

    Attributes:
        parameters: By qualified name.
        optimiser: Their Adam.
    """

    parameters: Named
    optimiser: torch.optim.Adam


def grouped(model: nn.Module, phase: Phase) -> dict[str, Group]:
    """The groups of parameters that the phase trains, with new optimisers."""
    weights, gates = model.parameters(), []
    if isinstance(model, GatedModel):
        weights, gates = iter(model.weight_parameters()), model.gate_parameters()
    groups = {"weights": _group(model, list(weights), phase.learning_rate, phase.weight_decay)}
    if gates:
        groups["gates"] = _group(model, gates, phase.gate_learning_rate, 0.0)
    return groups


def adam(parameters: Named, rate: float, weight_decay: float) -> torch.optim.Adam:
    """An Adam over the parameters, with the L2 term inside its gradient."""
    return torch.optim.Adam(parameters.values(), lr=rate, weight_decay=weight_decay, fused=True)


def apply(
    optimiser: torch.optim.Adam,
    gradients: Sequence[Tensor | None],
    rate: float,
    clip: float | None,
) -> None:
    """One step along given gradients (in the order of the optimiser's parameters)."""
    (group,) = optimiser.param_groups
    group["lr"] = rate
    for parameter, gradient in zip(group["params"], gradients, strict=True):
        parameter.grad = gradient
    if clip is not None:
        nn.utils.clip_grad_norm_(group["params"], clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def tensors(optimiser: torch.optim.Adam, parameters: Named) -> dict[str, Tensor]:
    """The optimiser's state as ``{"parameter:moment": tensor}``."""
    return {
        f"{name}:{moment}": value
        for name, parameter in parameters.items()
        for moment, value in optimiser.state.get(parameter, {}).items()
    }


def load(optimiser: torch.optim.Adam, parameters: Named, state: Mapping[str, Tensor]) -> None:
    """Puts back what ``tensors`` gave."""
    for key, value in state.items():
        name, moment = key.rsplit(":", 1)
        parameter = parameters[name]
        optimiser.state[parameter][moment] = value.to(parameter.device)


def sliced(state: Mapping[str, Tensor], slices: Slices) -> dict[str, Tensor]:
    """Keeps of each named tensor what its parameter kept.

    Args:
        state: By ``"parameter"`` or ``"parameter:moment"``.
        slices: By parameter, the kept indices along each cut dimension.

    Returns:
        The same tensors, cut; one without dimensions (a step count) stays whole.
    """
    return {
        key: resize.sliced(value, slices.get(key.rsplit(":", 1)[0], {})) if value.ndim else value
        for key, value in state.items()
    }


def _group(model: nn.Module, wanted: list[nn.Parameter], rate: float, decay: float) -> Group:
    ids = {id(parameter) for parameter in wanted if parameter.requires_grad}
    named = {name: value for name, value in model.named_parameters() if id(value) in ids}
    return Group(named, adam(named, rate, decay))
