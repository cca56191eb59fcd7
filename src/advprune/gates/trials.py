"""Trying whether a network with gates is the same once it is cut."""

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from advprune.gates.cutting import GatedCut
from advprune.gates.gated import GatedModel
from advprune.models.modes import evaluating
from advprune.structure import UnsupportedModelError, living
from advprune.structure.parity import difference, mismatch


def wrong_cut(gated: GatedModel, example_input: Tensor, groups: Collection[str]) -> str | None:
    """Returns how the network differs once groups are cut, in one of several ways; None if not.

    Half open: with the last unit of each group cut, with a random half of all units, with as many
    as can go. A class that has a width fixed in its forward fails at one of them.
    """
    structure, x = gated.structure, example_input[:2]
    spans = [group.span for name, group in structure.groups.items() if name in groups]
    last, others = torch.ones(2, structure.units, dtype=torch.bool)
    last[[span.stop - 1 for span in spans]] = False
    for span in spans:
        others[span] = False
    random = torch.rand(structure.units, generator=torch.Generator().manual_seed(0))
    cuts = [living(structure, kept, random) for kept in (last, (random < 0.5) | others, others)]
    found = (_difference(gated, x, keep) for keep in cuts)
    return next(filter(None, found), None) or _difference_in_training(gated, x, cuts[1])


@torch.no_grad()
def check_examples(gated: GatedModel, example_input: Tensor) -> None:
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


def _values(gated: GatedModel, keep: Tensor) -> Tensor:
    like = next(gated.parameters())
    values = torch.linspace(0.5, 1.0, len(keep)).to(like.device, like.dtype)
    return values * keep.to(like.device)


@torch.no_grad()
def _difference(gated: GatedModel, x: Tensor, keep: Tensor) -> str | None:
    """Returns how the network differs when the units outside `keep` are cut."""
    values = _values(gated, keep)
    with evaluating(gated), gated.board.holding(values.unsqueeze(0)):
        expected = gated.model(x)
    return mismatch(GatedCut(gated, keep).refresh(values), x, expected)


@torch.no_grad()
def _difference_in_training(gated: GatedModel, x: Tensor, keep: Tensor) -> str | None:
    """Returns `_difference` in train mode, where norms and dropout alone do not make it another.

    A network that draws other random numbers than dropout's modules do is not compared: cut, it
    would draw others.
    """
    values = _values(gated, keep)
    trained = copy.deepcopy(gated)  # what it runs may change buffers
    _rest(trained)
    with gated.board.holding(values.unsqueeze(0)), evaluating(gated):
        evaluated = gated.model(x)
    with trained.board.holding(values.unsqueeze(0)):
        expected, again = trained.model(x), trained.model(x)
    if difference(expected, evaluated) is None or difference(again, expected) is not None:
        return None
    cut = GatedCut(trained, keep).refresh(values)
    _rest(cut)
    found = mismatch(cut, x, expected)
    return found and f"in train mode {found}"


def _rest(network: nn.Module) -> None:
    """Puts a network in train mode, but its norms and dropouts in eval mode."""
    for module in network.train().modules():
        if isinstance(module, (_NormBase, _DropoutNd)):
            module.eval()
