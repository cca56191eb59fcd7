"""Placing gates on a model."""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from advprune.choices import check_arguments, choose
from advprune.gates.base import Gate
from advprune.gates.beta_bernoulli import BetaBernoulli
from advprune.gates.bottleneck import Bottleneck
from advprune.gates.cutting import GatedCut
from advprune.gates.dependent_beta_bernoulli import DependentBetaBernoulli
from advprune.gates.fixed import Fixed
from advprune.gates.gated import GatedModel
from advprune.gates.hard_concrete import HardConcrete
from advprune.gates.log_normal import LogNormal
from advprune.gates.variational_dropout import VariationalDropout
from advprune.models.modes import evaluating
from advprune.structure import (
    UnsupportedModelError,
    UnsupportedOperatorError,
    living,
)
from advprune.structure.graph import Graph, export
from advprune.structure.network import network_of
from advprune.structure.parity import mismatch
from advprune.structure.trace import check_images, structure_of

FAMILIES: dict[str, Callable[..., Gate]] = {
    "beta_bernoulli": BetaBernoulli,
    "dependent_beta_bernoulli": DependentBetaBernoulli,
    "log_normal": LogNormal,
    "bottleneck": Bottleneck,
    "variational_dropout": VariationalDropout,
    "hard_concrete": HardConcrete,
    "fixed": Fixed,
}


def maker(family: str, options: Mapping[str, Any]) -> Callable[[int], Gate]:
    """Returns the function from a number of units to a gate of a family.

    Args:
        family: one of `FAMILIES`.
        options: of the family, by name.

    Raises:
        ValueError: an unknown family or option, or an impossible value of one.
    """
    make = choose("family of gates", family, FAMILIES)
    check_arguments(f"family {family!r}", partial(make, 1), options)
    make(1, **options)
    return partial(make, **options)


def gate(
    model: nn.Module,
    example_input: Tensor,
    family: str = "beta_bernoulli",
    per_position: Iterable[str] = (),
    **options: Any,
) -> GatedModel:
    """Returns a gated copy of a model: one gate on each group of channels.

    Multiplying what the readers of a group read is linear in their weights, so the expected gates
    fold in exactly, and a channel whose gate is 0 can be cut.

    Args:
        model: a network whose graph `torch.export` takes; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.
        family: of the gates: one of `FAMILIES`.
        per_position: linear layers behind a flatten, whose every input gets a gate of its own too.
        **options: of the family, such as `start=2.0`.

    Raises:
        ValueError: an unknown family, option or layer, or a model that has gates already.
        UnsupportedModelError: the model's graph cannot be analysed; the operator is named.
    """
    if isinstance(model, GatedModel):
        raise ValueError(
            "the model has gates already; allowed are models without, such as its .model"
        )
    make = maker(family, options)
    check_images(example_input)
    graph = export(model, example_input)
    try:
        return _placed(copy.deepcopy(model), graph, example_input, per_position, make)
    except UnsupportedOperatorError:
        raise
    except UnsupportedModelError as refusal:
        try:
            network = network_of(graph, model, example_input)
            return _placed(network, graph, example_input, per_position, make)
        except ValueError:
            raise refusal from None


def _placed(
    model: nn.Module,
    graph: Graph,
    example_input: Tensor,
    per_position: Iterable[str],
    make: Callable[[int], Gate],
) -> GatedModel:
    """Returns the model with gates on it, tried in several cuts."""
    structure = structure_of(graph, model).with_input_gates(tuple(per_position))
    like = next(model.parameters())
    gates = {
        name: make(group.units).to(like.device, like.dtype)
        for name, group in structure.groups.items()
    }
    gated = GatedModel(model, structure, gates)
    _check_cut(gated, example_input)
    _check_examples(gated, example_input)
    return gated


def _check_cut(gated: GatedModel, example_input: Tensor) -> None:
    """Raises where the network computes something else once it is cut, in one of several ways.

    Half open: with the last unit of each group cut, with a random half of all units, with as many
    as can go. A class that has a width fixed in its forward fails at one of them.
    """
    structure = gated.structure
    last = torch.ones(structure.units, dtype=torch.bool)
    last[[group.span.stop - 1 for group in structure.groups.values()]] = False
    random = torch.rand(structure.units, generator=torch.Generator().manual_seed(0))
    for active in (last, random < 0.5, torch.zeros_like(last)):
        found = _difference(gated, example_input[:2], living(structure, active, random))
        if found is not None:
            raise UnsupportedModelError(f"{type(gated.model).__name__} cannot be cut: {found}")


@torch.no_grad()
def _check_examples(gated: GatedModel, example_input: Tensor) -> None:
    """Raises where an example meets the gates of another: its windows lie apart in the batch."""
    image = example_input[:1]
    values = torch.linspace(0.5, 1.0, 2 * gated.structure.units).to(image).view(2, -1)
    with evaluating(gated):
        with gated.board.holding(values):
            together = gated.model(torch.cat([image, image]))
        for one, found in zip(values[:, None], together[:, None], strict=True):
            with gated.board.holding(one):
                mixed = mismatch(gated.model, image, found)
            if mixed is not None:
                raise UnsupportedModelError(
                    f"{type(gated.model).__name__} mixes the examples of a batch, so each cannot"
                    f" have gates of its own: {mixed}"
                )


def _difference(gated: GatedModel, x: Tensor, keep: Tensor) -> str | None:
    """Returns how the network differs when the units outside `keep` are cut."""
    structure, like = gated.structure, next(gated.parameters())
    values = torch.linspace(0.5, 1.0, structure.units).to(like.device, like.dtype)
    values = values * keep.to(like.device)
    with evaluating(gated), torch.no_grad(), gated.board.holding(values.unsqueeze(0)):
        expected = gated.model(x)
    return mismatch(GatedCut(gated, keep).refresh(values), x, expected)
