"""The network as it would ship now: what attacks inside training run on."""

import torch
from torch import Tensor, nn

from advprune.gates.gated import GatedModel, drop_gates
from advprune.structure import CutNetwork, Structure


class CurrentNetwork:
    """The folded, cut network that equals a gated model with its expected gates.

    It is cut anew whenever gates have died or units were removed, else only its weights are copied.
    Inputs that only a layer's own gates close stay, with weight 0, so that no gather is needed.
    """

    def __init__(self, gated: GatedModel) -> None:
        self._gated = gated
        self._structure: Structure | None = None
        self._keep: Tensor | None = None
        self._cut: CutNetwork | None = None

    def refreshed(self) -> nn.Module:
        """Returns the plain network with the gated model's present weights and gates."""
        gated, keep = self._gated, self._gated.keep()
        same = self._structure is gated.structure and self._keep is not None
        if self._cut is None or not same or not torch.equal(self._keep, keep):
            self._structure, self._keep = gated.structure, keep
            self._cut = CutNetwork(gated.model, gated.structure, keep)
            drop_gates(self._cut.network)
        return self._cut.refresh(gated.expected().detach())
