"""Gates: one file a posterior, their place on a model, and what follows from their values."""

from advprune.gates.base import Gate
from advprune.gates.beta_bernoulli import BetaBernoulli
from advprune.gates.bottleneck import Bottleneck
from advprune.gates.current import CurrentNetwork
from advprune.gates.dependent_beta_bernoulli import DependentBetaBernoulli
from advprune.gates.fixed import Fixed
from advprune.gates.following import remove_dead
from advprune.gates.gated import GatedModel
from advprune.gates.hard_concrete import HardConcrete
from advprune.gates.log_normal import LogNormal
from advprune.gates.paired import paired
from advprune.gates.placing import FAMILIES, gate, maker
from advprune.gates.ranking import CRITERIA, even, magnitudes, uneven
from advprune.gates.removal import kept_units, remove, restore, shape_state
from advprune.gates.settling import ROUND_TO, largest_share, settle, within
from advprune.gates.variational_dropout import VariationalDropout

__all__ = [
    "CRITERIA",
    "FAMILIES",
    "ROUND_TO",
    "BetaBernoulli",
    "Bottleneck",
    "CurrentNetwork",
    "DependentBetaBernoulli",
    "Fixed",
    "Gate",
    "GatedModel",
    "HardConcrete",
    "LogNormal",
    "VariationalDropout",
    "even",
    "gate",
    "kept_units",
    "largest_share",
    "magnitudes",
    "maker",
    "paired",
    "remove",
    "remove_dead",
    "restore",
    "settle",
    "shape_state",
    "uneven",
    "within",
]
