"""The models that a command is given: what they are, and what they were made for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def network_of(name: str, trust_code: bool) -> "nn.Module":
    """A saved model, or an exported file whose answers are its runtime's."""
    from advprune.shipping import Shipped, load

    return Shipped(name) if is_file(name) else load(name, trust_code=trust_code)


def is_file(name: str) -> bool:
    """Whether that is an exported file, not a saved model."""
    from advprune.shipping import RUNTIMES

    return Path(name).suffix in RUNTIMES


def own_threat(model: str, norm: str | None, eps: str | None) -> dict[str, Any]:
    """Norm and eps as given; what is not, as the model or file says that it was trained for."""
    own = _own_threat(model)
    norm = norm or own.get("norm", "linf")
    if eps is not None:
        return {"norm": norm, "eps": eps}
    if own.get("norm") != norm or "eps" not in own:
        raise ValueError(
            f"{model} does not say which eps it withstands in {norm}: give --eps, and --norm"
            " where it is not linf"
        )
    return {"norm": norm, "eps": own["eps"]}


def _own_threat(model: str) -> dict[str, Any]:
    from advprune.shipping import Shipped, locate, read_manifest

    own = (
        Shipped(model).metadata.get("threat")
        if is_file(model)
        else read_manifest(locate(model)).threat
    )
    return own or {}
