"""Halving a model by Torch-Pruning, with a guard: does it still compute what it should?

What it cuts from the inputs of a layer is multiplied by zero there in a copy of the whole model:
the masked model. The cut model is exact where it equals the masked one, in double precision.
"""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from advprune.evaluation import cost

TOLERANCE = 1e-8


@dataclass(frozen=True)
class Halved:
    """A model of which half of each group's channels was cut.

    Attributes:
        outcome: "exact"; "whole" where nothing was cut; "refused" where an error says that it
            cannot be cut; "broken" where the cut model does not run; "wrong" where it runs and
            computes something else.
        macs_gone: Share of the multiply-accumulates that went; 0 unless exact.
        why: The error, or the difference.
    """

    outcome: str
    macs_gone: float
    why: str = ""


def halve(model: nn.Module, x: Tensor, classes: int) -> Halved:
    """Lets Torch-Pruning cut half of each group at random, and compares.

    It is told what its manual asks for: to leave the classifier alone, and which layers hold how
    many attention heads.
    """
    masked, before = copy.deepcopy(model), cost(model, x).macs
    try:
        _cut(model, masked, x, classes)
    except Exception as error:
        return Halved("refused", 0.0, _first_line(error))
    try:
        with torch.no_grad():
            found, expected = model(x), masked(x)
            gone = 1 - cost(model, x).macs / before
    except Exception as error:
        return Halved("broken", 0.0, _first_line(error))
    if gone == 0:
        return Halved("whole", 0.0)
    difference = float((found - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        return Halved("wrong", 0.0, f"off by {difference:.1e} of the largest logit")
    return Halved("exact", gone)


def _cut(model: nn.Module, masked: nn.Module, x: Tensor, classes: int) -> None:
    names = {module: name for name, module in model.named_modules()}
    masks = {name: _mask(module) for name, module in masked.named_modules() if _reads(module)}
    for group in _groups(model, x, classes):
        for dependency, indices in group:
            module = dependency.target.module
            if _reads(module) and dependency.handler.__name__ == "prune_in_channels":
                mask = masks[names[module]]
                mask[mask.nonzero().flatten()[indices]] = 0
        group.prune()


def _groups(model: nn.Module, x: Tensor, classes: int) -> Iterator[Any]:
    library: Any = import_module("torch_pruning")
    heads = dict(_heads(model))
    last = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = library.BasePruner(
            model,
            x,
            importance=library.importance.RandomImportance(),
            pruning_ratio=0.5,
            ignored_layers=last,
            in_channel_groups={},
            out_channel_groups={},
            num_heads=heads,
        )
        groups: Iterator[Any] = pruner.step(interactive=True)
        yield from groups


def _heads(model: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """The projections of attention, with their numbers of heads."""
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            yield module, module.num_heads
        count = getattr(module, "num_attention_heads", None) or getattr(module, "heads", None)
        for name, child in module.named_children():
            if isinstance(count, int) and name in {"qkv", "query", "key", "value"}:
                yield child, count


def _reads(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d))


def _mask(module: nn.Module) -> Tensor:
    """Returns what multiplies each input of a layer from now on: ones, which may be set to zero."""
    linear = isinstance(module, nn.Linear)
    mask = torch.ones(int(getattr(module, "in_features" if linear else "in_channels")))

    def multiply(_module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        x = inputs[0]
        return x * mask.to(x).view(-1, *[1] * (0 if linear else x.dim() - 2))

    module.register_forward_pre_hook(multiply)
    return mask


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
