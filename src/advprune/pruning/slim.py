"""From a gated model to a plain, smaller one that is proven equal."""

from typing import Any

import torch
from torch import Tensor, nn

from advprune.choices import check_count
from advprune.gates import GatedModel
from advprune.gates.cutting import GatedCut
from advprune.gates.settling import rounded
from advprune.models.modes import evaluating
from advprune.structure import GraphNetwork, graph_network
from advprune.structure.input_gate import dimensions
from advprune.structure.parity import mismatch


class SlimError(RuntimeError):
    """The slim model does not compute what the gated one computes."""


def slim(gated: GatedModel, example_input: Tensor, round_to: int = 1) -> nn.Module:
    """Returns a plain model without the closed units, the expected gates folded in.

    It has the class of the model that was gated, with smaller layers under the same names. A layer
    whose own inputs were pruned becomes a `SelectedLinear`; where gates depend on what a layer is
    given, that part of them stays in front of the layer, as an `InputGate` a factor.

    Args:
        gated: the gated model, which is left as it is.
        example_input: real images (batch, channels, height, width) for the comparison.
        round_to: the widths of groups are rounded up to a multiple of it, as far as units reach.

    Raises:
        ValueError: a model without gates, or `round_to` is not positive.
        SlimError: outputs differ by more than `parity.TOLERANCE`; no model is returned.
    """
    if not isinstance(gated, GatedModel):
        raise ValueError(
            f"a {type(gated).__name__} has no gates; allowed is what advprune.gate gives"
        )
    check_count("round_to", round_to)
    keep = rounded(gated.structure, gated.keep(), gated.scores(), round_to)
    cut = GatedCut(gated, keep)
    cut.refresh(gated.expected().detach())
    selected = cut.select_inputs()
    network = cut.network
    trained = {name: value.requires_grad for name, value in gated.model.named_parameters()}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trained.get(name, True))
    if isinstance(network, GraphNetwork) and dimensions(network):
        network = graph_network(network, example_input)
    _describe(network, selected, gated.structure.kept_counts(keep))
    _note(network, gated, keep, example_input)
    _compare(gated, network, example_input)
    return network.train(gated.training)


def _describe(network: nn.Module, selected: dict[str, list[int]], counts: dict[str, int]) -> None:
    """Notes on the network how its shape came about, for whoever rebuilds it."""
    architecture: Any = getattr(network, "architecture", None)
    if architecture:
        left = {"selected": selected, "counts": counts, "input_gates": dimensions(network)}
        found = {key: value for key, value in left.items() if value}
        network.architecture = {**architecture, **found}  # type: ignore[assignment]


def _note(network: nn.Module, gated: GatedModel, keep: Tensor, example_input: Tensor) -> None:
    """Notes what was kept and for images of which shape, for whoever saves the network."""
    kept = gated.structure.split(keep)
    units = {name: gated.original[name][kept[name]].tolist() for name in gated.original}
    network.slimmed = {"kept": units, "input_shape": list(example_input.shape[1:])}  # type: ignore[assignment]


def _compare(gated: GatedModel, network: nn.Module, example_input: Tensor) -> None:
    with evaluating(gated), torch.no_grad():
        expected = gated(example_input)
    found = mismatch(network, example_input, expected)
    if found is not None:
        raise SlimError(f"the slim model is not the gated one: {found}")
