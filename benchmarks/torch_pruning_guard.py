"""Halving a model by Torch-Pruning, with a guard: does it still compute what it should?

What it cuts from the inputs of a layer is set to zero in a copy of the whole model: the masked
model. The cut model is exact where it equals the masked one, in double precision.
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
_READERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


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
    alive: dict[str, list[int]] = {}
    for group in _groups(model, x, classes):
        for dependency, indices in group:
            module = dependency.target.module
            if isinstance(module, _READERS) and dependency.handler.__name__ == "prune_in_channels":
                name = names[module]
                left = alive.setdefault(name, list(range(_inputs(masked.get_submodule(name)))))
                cut = {left[index] for index in indices}
                _mask(masked.get_submodule(name), sorted(cut))
                alive[name] = [index for index in left if index not in cut]
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


def _inputs(module: nn.Module) -> int:
    return int(getattr(module, "in_features", 0) or getattr(module, "in_channels", 0))


@torch.no_grad()
def _mask(module: nn.Module, indices: list[int]) -> None:
    """Sets the weights to zero that read some of a layer's inputs."""
    weight = module.get_parameter("weight")
    groups = int(getattr(module, "groups", 1))
    if getattr(module, "transposed", False):
        weight[indices] = 0
        return
    per_group, rows = weight.shape[1], weight.shape[0] // groups
    for index in indices:
        group, column = divmod(index, per_group)
        weight[group * rows : (group + 1) * rows, column] = 0


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
