"""What a finished network's units are worth, in the ways that one may think of: which stay.

Those by vulnerability are places within the unit's group, since the V of layers of different scale
does not compare: they are there to test whether vulnerable units are the ones to cut. A unit that
never fires is worth nothing by any of them, though its V is 0.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from advprune.gates import GatedModel, magnitudes
from advprune.models.modes import evaluating
from advprune.structure import Structure
from advprune.vulnerability import unit_vulnerability

Batch = tuple[Tensor, Tensor]
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
Score = Callable[[GatedModel, Iterable[Batch], Attack], Tensor]
"""From a gated network, training images and an attack to (all units,) on the CPU: large stays."""


def worth(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns what each unit is worth, (units,): how far the losses would move without it.

    For each example, to first order, `|m ∂(L(x) + L(x_adv))/∂m|` with m the unit's gate and L the
    cross-entropy; their mean (the Taylor criterion, Molchanov et al. 2017, arXiv 1611.06440,
    equation 7, with an adversarial loss beside the clean one).

    Args:
        gated: the network with its gates, taken at their expected values, in eval mode.
        batches: training images and labels.
        attack: makes adversarial images.

    Raises:
        ValueError: there are no images.
    """
    return _taylor(gated, ((y, x, attack(gated, x, y)) for x, y in batches))


def clean_worth(gated: GatedModel, batches: Iterable[Batch], _attack: Attack) -> Tensor:
    """Returns what each unit is worth to the clean loss alone; else as `worth`."""
    return _taylor(gated, ((y, x) for x, y in batches))


def adversarial_worth(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns what each unit is worth to the adversarial loss alone; else as `worth`."""
    return _taylor(gated, ((y, attack(gated, x, y)) for x, y in batches))


def steady(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns the units' places by `E |Δh|`, the most vulnerable last: those are cut first.

    The claim of Madaan et al. 2020 (arXiv 1908.04355), taken at its word.
    """
    found = unit_vulnerability(gated, batches, attack)
    return _places(gated.structure, -found.absolute, found.living)


def relatively_steady(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns the units' places by `Σ|Δh| / Σ|h|`, the most vulnerable last."""
    found = unit_vulnerability(gated, batches, attack)
    return _places(gated.structure, -found.relative, found.living)


def steady_for_the_margin(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns the units' places by `E |∂M/∂h ∘ Δh|`, M the margin, the most vulnerable last."""
    found = unit_vulnerability(gated, batches, attack)
    return _places(gated.structure, -found.margin_weighted, found.living)


def vulnerable(gated: GatedModel, batches: Iterable[Batch], attack: Attack) -> Tensor:
    """Returns the reverse of `steady`, a control: the most vulnerable units stay."""
    found = unit_vulnerability(gated, batches, attack)
    return _places(gated.structure, found.absolute, found.living)


def magnitude(gated: GatedModel, _batches: Iterable[Batch], _attack: Attack) -> Tensor:
    """Returns the L1 norm of the weights that make each unit; see `advprune.gates.magnitudes`."""
    return magnitudes(gated)


SCORES: dict[str, Score] = {
    "worth": worth,
    "clean_worth": clean_worth,
    "adversarial_worth": adversarial_worth,
    "magnitude": magnitude,
    "vulnerability": steady,
    "relative_vulnerability": relatively_steady,
    "margin_vulnerability": steady_for_the_margin,
    "reverse_vulnerability": vulnerable,
}
"""Ways to rank units, by name; those named after a form of V cut where it is largest."""


def _taylor(gated: GatedModel, batches: Iterable[tuple[Tensor, ...]]) -> Tensor:
    """Returns the mean over examples; each batch is labels, then images of one kind or more."""
    total, seen = torch.zeros(gated.structure.units, dtype=torch.float64), 0
    with evaluating(gated):
        for y, *views in batches:
            total += _moved(gated, views, y).sum(0).double().cpu()
            seen += len(y)
    if not seen:
        raise ValueError("no images were given to tell what units are worth")
    return total / seen


def _moved(gated: GatedModel, views: list[Tensor], y: Tensor) -> Tensor:
    """Returns (examples, units): the first-order change of each example's loss over its views."""
    values = gated.expected().detach().repeat(len(y), 1).requires_grad_()
    with gated.board.holding(values.repeat(len(views), 1)):
        logits = gated.model(torch.cat(views))
    loss = functional.cross_entropy(logits, y.repeat(len(views)), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, values)
    return (gradient * values.detach()).abs()


def _places(structure: Structure, values: Tensor, living: Tensor) -> Tensor:
    """Returns each unit's place in its group, 1 / units for the smallest value and 1 the largest.

    Dead units come before all others, and get 0.
    """
    places = {
        name: (own.argsort(stable=True).argsort() + 1.0) / len(own)
        for name, own in structure.split(values.masked_fill(~living, -torch.inf)).items()
    }
    return structure.join(places).masked_fill(~living, 0.0)
