"""One small rule per operator: how units flow from its inputs to its output.

A rule gets the flow so far and the node, and returns the labels of the node's value. Each element
of a value may depend on elements of its own unit and on what stays, and on no other's; what an
operator mixes is therefore tied. Whatever has no rule is refused by name, never guessed.
"""

from advprune.structure.rules import (  # noqa: F401 - each registers its rules
    attention,
    elementwise,
    layers,
    movement,
    norms,
    reductions,
)
