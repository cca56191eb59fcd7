"""Adversarial neural pruning: networks that are robust to attacks and small enough to ship.

Names are imported when they are first used, so that ``import advprune`` does not wait for torch.
"""

import importlib
import importlib.metadata
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advprune import attacks, data, models, recipes, report
    from advprune.certificates.certify import certify
    from advprune.certificates.result import Certificates
    from advprune.evaluation.cost import Cost, cost
    from advprune.evaluation.curve import curve
    from advprune.evaluation.evaluate import evaluate
    from advprune.evaluation.prunable import Check, check
    from advprune.evaluation.result import Result
    from advprune.gates import GatedModel, gate, remove_dead
    from advprune.pruning.slim import SlimError, slim
    from advprune.recipes.shrinking import shrink
    from advprune.shipping import Export, export, load, save
    from advprune.structure.errors import UnsupportedOperatorError
    from advprune.structure.recalibrate import recalibrate
    from advprune.threat import ThreatModel
    from advprune.vulnerability import Vulnerability, vulnerability, vulnerability_over

__version__ = importlib.metadata.version("advprune")

_HOMES = {
    "Certificates": "certificates",
    "Check": "evaluation",
    "Cost": "evaluation",
    "Export": "shipping",
    "GatedModel": "gates",
    "Result": "evaluation",
    "SlimError": "pruning",
    "ThreatModel": "threat",
    "UnsupportedOperatorError": "structure",
    "Vulnerability": "vulnerability",
    "certify": "certificates",
    "check": "evaluation",
    "cost": "evaluation",
    "curve": "evaluation",
    "evaluate": "evaluation",
    "export": "shipping",
    "gate": "gates",
    "load": "shipping",
    "recalibrate": "structure",
    "remove_dead": "gates",
    "save": "shipping",
    "shrink": "recipes.shrinking",
    "slim": "pruning",
    "vulnerability": "vulnerability",
    "vulnerability_over": "vulnerability",
}
_MODULES = ("attacks", "data", "models", "recipes", "report")

__all__ = [
    "Certificates",
    "Check",
    "Cost",
    "Export",
    "GatedModel",
    "Result",
    "SlimError",
    "ThreatModel",
    "UnsupportedOperatorError",
    "Vulnerability",
    "__version__",
    "attacks",
    "certify",
    "check",
    "cost",
    "curve",
    "data",
    "evaluate",
    "export",
    "gate",
    "load",
    "models",
    "recalibrate",
    "recipes",
    "remove_dead",
    "report",
    "save",
    "shrink",
    "slim",
    "vulnerability",
    "vulnerability_over",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"advprune.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'advprune' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"advprune.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """A package whose function ``vulnerability`` is not hidden by the module that defines it.

    Python binds a module to its package whenever anything imports it.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        hides = isinstance(value, ModuleType) and name in _HOMES
        super().__setattr__(name, getattr(value, name) if hides else value)


sys.modules[__name__].__class__ = _Package
