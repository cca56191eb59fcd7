"""A gated model's network as it would ship: gates folded in and cut, as far as they can be."""

import torch
from torch import Tensor, nn

from advprune.gates.gated import GatedModel, drop_gates
from advprune.gates.passing import Passing, given_units
from advprune.structure import CutNetwork
from advprune.structure.input_gate import InputGate, attach, follow, key_of


class GatedCut(CutNetwork):
    """The cut network of a gated model; what of a gate depends on the input stays, as a small gate.

    Args:
        gated: the model.
        keep: (all units,) bool, the units that stay.
    """

    def __init__(self, gated: GatedModel, keep: Tensor) -> None:
        super().__init__(gated.model, gated.structure, keep)
        drop_gates(self.network)
        self._gated = gated
        layers = gated.structure.gated_layers if gated.depends_on_input else ()
        self._gates = {name: _input_gates(gated, name, keep) for name in layers}
        if layers:
            attach(self.network, {n: [gate for gate, _ in each] for n, each in self._gates.items()})

    def refresh(self, values: Tensor) -> nn.Module:
        """Copies the model's present weights and the gates that stay, with values folded in."""
        for name, gates in self._gates.items():
            scale, shift = _affine(self._gated, name)
            for gate, units in gates:
                gate.set(scale[units], shift[units])
        return super().refresh(values)

    def select_inputs(self) -> dict[str, list[int]]:
        """Drops the inputs that only a layer's own gate closes; returns the kept ones by layer."""
        selected = super().select_inputs()
        for name in selected.keys() & self._gates.keys():
            follow(self.network, name)
        return selected


def _input_gates(gated: GatedModel, name: str, keep: Tensor) -> list[tuple[InputGate, Tensor]]:
    """Returns the gates in front of a layer that is cut, with the units of each."""
    layer = gated.structure.layers[name]
    scale, shift = _affine(gated, name)
    arriving = torch.cat([keep.cpu(), keep.new_ones(1).cpu()])[given_units(layer)[0]]
    gates = []
    for given in given_units(layer):
        units, index = _distinct(given[arriving].to(scale.device))
        gate = InputGate(scale[units], shift[units], layer.channels, index)
        gates.append((gate.requires_grad_(False), units))
    return gates


def _affine(gated: GatedModel, name: str) -> tuple[Tensor, Tensor]:
    """Returns a and b of every unit at a layer, (all units + 1,) each; 0 and 1 let all through."""
    like = next(gated.parameters()).detach()
    scale = like.new_zeros(gated.structure.units + 1)
    shift = torch.ones_like(scale)
    for group, gate in gated.gates.items():
        if key_of(name) in gate.passings:
            passing = gate.passings[key_of(name)]
            assert isinstance(passing, Passing)
            span = gated.structure.groups[group].span
            scale[span], shift[span] = (part.detach() for part in passing.line())
    return scale, shift


def _distinct(given: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns the units of channels, each once, and which of them each channel has.

    The latter is None where every unit has equally many channels, side by side.
    """
    units, counts = torch.unique_consecutive(given, return_counts=True)
    if len(units) == len(torch.unique(units)) and len(torch.unique(counts)) == 1:
        return units, None
    units, index = torch.unique(given, return_inverse=True)
    return units, index
