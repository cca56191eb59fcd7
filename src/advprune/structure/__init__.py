"""The exported graph: rules of the operators, groups, slicing plan, folding, the cut network."""

from advprune.structure.cut import CutNetwork
from advprune.structure.errors import UnsupportedModelError, UnsupportedOperatorError
from advprune.structure.living import least, living
from advprune.structure.network import GraphNetwork, graph_network
from advprune.structure.parts import Group, Layer
from advprune.structure.plan import Structure
from advprune.structure.recalibrate import recalibrate
from advprune.structure.select import SelectedLinear
from advprune.structure.trace import trace

__all__ = [
    "CutNetwork",
    "GraphNetwork",
    "Group",
    "Layer",
    "SelectedLinear",
    "Structure",
    "UnsupportedModelError",
    "UnsupportedOperatorError",
    "graph_network",
    "least",
    "living",
    "recalibrate",
    "trace",
]
