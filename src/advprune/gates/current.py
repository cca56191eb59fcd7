"""The network as it would ship now: what attacks inside training run on."""

import torch
from torch import Tensor, nn

from advprune.gates.cutting import GatedCut
from advprune.gates.gated import GatedModel
from advprune.structure import Structure


class CurrentNetwork:
    """The folded, cut network that equals a gated model with its expected gates.

    It is cut anew whenever gates have died or units were removed, else only its weights are copied.
    Inputs that only a layer's own gates close stay, with weight 0, so that no gather is needed.
    """

    def __init__(self, gated: GatedModel) -> None:
        self._gated = gated
        self._cut: tuple[Structure, Tensor, GatedCut] | None = None

    @torch.no_grad()
    def refreshed(self) -> nn.Module:
        """Returns the plain network with the gated model's present weights and gates."""
        values = self._gated.expected()
        return self._cut_for(values != 0).refresh(values)

    def _cut_for(self, active: Tensor) -> GatedCut:
        structure = self._gated.structure
        if self._cut is not None:
            known, at, cut = self._cut
            if known is structure and torch.equal(at, active):
                return cut
        cut = GatedCut(self._gated, self._gated.keep())
        self._cut = (structure, active, cut)
        return cut
