"""Placing gates on a model."""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from advprune.choices import check_arguments, choose
from advprune.gates.base import Gate
from advprune.gates.beta_bernoulli import BetaBernoulli
from advprune.gates.bottleneck import Bottleneck
from advprune.gates.dependent_beta_bernoulli import DependentBetaBernoulli
from advprune.gates.fixed import Fixed
from advprune.gates.gated import GatedModel
from advprune.gates.hard_concrete import HardConcrete
from advprune.gates.log_normal import LogNormal
from advprune.gates.trials import check_examples, wrong_cut
from advprune.gates.variational_dropout import VariationalDropout
from advprune.structure import Structure, UnsupportedModelError, least
from advprune.structure.contract import check_alone, check_images
from advprune.structure.graph import Graph
from advprune.structure.network import difference_in_training, network_of, twin_of
from advprune.structure.trace import structure_of
from advprune.structure.training import export_both

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

    A class that has widths fixed in its forward, or that hides layers from gates (attention that
    reads its projections without calling them), is gated as a network of its graph, under the same
    names, where more can go so and it trains alike. Where only some groups can be cut, the others
    stay, and `structure.blocked` says why.

    Args:
        model: a network whose graph `torch.export` takes; it is left as it is.
        example_input: (batch, channels, height, width), any batch size.
        family: of the gates: one of `FAMILIES`.
        per_position: linear layers behind a flatten, whose every input gets a gate of its own too.
        **options: of the family, such as `start=2.0`.

    Raises:
        ValueError: an unknown family, option or layer, or a model that has gates already.
        UnsupportedModelError: the model's graph cannot be analysed, or nothing of it can be cut.
    """
    if isinstance(model, GatedModel):
        raise ValueError(
            "the model has gates already; allowed are models without, such as its .model"
        )
    make = maker(family, options)
    check_images(example_input)
    check_alone(model, example_input)
    graph = export_both(model, example_input)
    place = partial(_placed, graph, example_input, tuple(per_position), make)
    try:
        own = place(copy.deepcopy(model))
    except UnsupportedModelError as refusal:
        return _placed_otherwise(model, graph, example_input, place, refusal)
    return _placed_openly(own, model, graph, example_input, place)


Place = Callable[..., GatedModel]
"""Gates on a network; `whole` says of groups by name why they are to stay."""


def _placed_openly(
    own: GatedModel, model: nn.Module, graph: Graph, example_input: Tensor, place: Place
) -> GatedModel:
    """Returns the graph with gates where the class hides layers from them and more can go."""
    if not own.structure.hidden:
        return own
    try:
        network = twin_of(graph, model, example_input)
        if difference_in_training(model, network, example_input) is not None:
            return own
        return min(own, place(network), key=_least_macs)
    except ValueError:
        return own


def _placed_otherwise(
    model: nn.Module,
    graph: Graph,
    example_input: Tensor,
    place: Place,
    refusal: UnsupportedModelError,
) -> GatedModel:
    """Returns the graph with gates in place of a refused class, or one of them gated in part."""
    candidates = [model]
    try:
        candidates.append(network_of(graph, model, example_input))
        return place(copy.deepcopy(candidates[1]))
    except ValueError as error:
        same = str(error) == str(refusal)
        why = str(refusal) if same else f"{refusal}; nor its graph: {error}"
    parts = [_placed_in_part(network, graph, example_input, place) for network in candidates]
    found = [part for part in parts if part is not None]
    if not found:
        raise UnsupportedModelError(why)
    return min(found, key=_least_macs)


def _placed_in_part(
    model: nn.Module, graph: Graph, example_input: Tensor, place: Place
) -> GatedModel | None:
    """Returns a copy with gates on those groups that can be cut together, taken one by one."""
    try:
        trial = _with_gates(copy.deepcopy(model), structure_of(graph, model), Fixed)
        good: list[str] = []
        whole = {}
        for name in trial.structure.groups:
            found = wrong_cut(trial, example_input, [*good, name])
            if found is None:
                good.append(name)
            else:
                whole[name] = f"the network without some of it is not the same: {found}"
        return place(copy.deepcopy(model), whole) if good else None
    except UnsupportedModelError:
        return None


def _least_macs(gated: GatedModel) -> int:
    return gated.structure.macs(least(gated.structure))


def _placed(
    graph: Graph,
    example_input: Tensor,
    per_position: tuple[str, ...],
    make: Callable[[int], Gate],
    model: nn.Module,
    whole: Mapping[str, str] | None = None,
) -> GatedModel:
    """Returns the model with gates on it, tried in several cuts."""
    structure = structure_of(graph, model, whole).with_input_gates(per_position)
    gated = _with_gates(model, structure, make)
    found = wrong_cut(gated, example_input, structure.groups)
    if found is not None:
        raise UnsupportedModelError(f"{type(model).__name__} cannot be cut: {found}")
    check_examples(gated, example_input)
    return gated


def _with_gates(model: nn.Module, structure: Structure, make: Callable[[int], Gate]) -> GatedModel:
    like = next(model.parameters())
    gates = {
        name: make(group.units).to(like.device, like.dtype)
        for name, group in structure.groups.items()
    }
    return GatedModel(model, structure, gates)
