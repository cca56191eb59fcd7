"""What a run's networks are worth: the figures of ``result.json``, each network's by itself."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from advprune.data import Images
from advprune.evaluation import cost, curve, evaluate
from advprune.evaluation.sample import gather
from advprune.evaluation.suites import paper_attack
from advprune.gates import GatedModel
from advprune.recipes.schema import Recipe
from advprune.shipping import latency, load
from advprune.vulnerability import vulnerability_over

Figures = dict[str, Any]

BATCH = 128
"""Images a batch, of attacks and of the second measurement of latency."""


def accuracies(
    recipe: Recipe, model: nn.Module, test: Images, parents: Mapping[str, nn.Module]
) -> Figures:
    """Clean and attacked accuracy, with all that they rest on.

    What fools the parents by name, and the recipe's sources, is tried on the model as well.
    """
    settings = recipe.evaluation
    result = evaluate(
        model,
        test,
        recipe.threat.build(),
        settings.suite,
        {**{source: load(source) for source in settings.sources}, **parents},
        seed=recipe.seed,
        subset=settings.examples,
    )
    return result.to_dict()


def autoattack(recipe: Recipe, model: nn.Module, test: Images) -> Figures:
    """What AutoAttack's standard version leaves, where the recipe asks for it."""
    settings = recipe.evaluation
    if settings.autoattack is None:
        return {}
    found = evaluate(
        model,
        test,
        recipe.threat.build(),
        "standard",
        seed=recipe.seed,
        subset=settings.autoattack,
    )
    return {"autoattack": found.to_dict()}


def radii(recipe: Recipe, model: nn.Module, test: Images) -> Figures:
    """Accuracy against eps, where the recipe asks for it."""
    settings = recipe.evaluation
    if not settings.curve:
        return {}
    found = curve(
        model,
        test,
        recipe.threat.norm,
        settings.curve,
        seed=recipe.seed,
        subset=settings.examples,
    )
    return found.to_dict()


def vulnerabilities(recipe: Recipe, model: nn.Module, test: Images) -> Figures:
    """Vulnerability in all its forms, under the published PGD-40."""
    sample = gather(test, BATCH, subset=recipe.evaluation.examples, seed=recipe.seed)
    batches = zip(torch.split(sample.x, BATCH), torch.split(sample.y, BATCH), strict=True)
    found = vulnerability_over(model, batches, paper_attack(recipe.threat.build()))
    return {
        "vulnerability": {
            "network": found.network,
            "active_only": found.active_only,
            "relative": found.relative,
            "margin_weighted": found.margin_weighted,
            "layers": dict(found.layers),
            "features": {name: values.tolist() for name, values in found.features.items()},
        }
    }


def costs(networks: Mapping[str, nn.Module], example: Tensor) -> dict[str, Figures]:
    """Size and measured speed of plain networks, timed in turns.

    Args:
        networks: By their key in ``result.json``.
        example: (batch, channels, height, width).
    """
    figures: dict[str, Figures] = {
        key: {"cost": asdict(cost(network, example)), "latency": []}
        for key, network in networks.items()
    }
    for batch in (1, BATCH):
        for key, timed in latency(networks, example, batch_size=batch).items():
            figures[key]["latency"].append(timed.to_dict())
    return figures


def widths(gated: GatedModel) -> dict[str, list[int]]:
    """Kept and total units of each group."""
    kept = gated.structure.split(gated.keep())
    return {
        name: [int(kept[name].sum()), group.total] for name, group in gated.structure.groups.items()
    }


def uncut(gated: GatedModel) -> dict[str, list[int]]:
    """The same before any unit was pruned."""
    return {name: [total, total] for name, (_, total) in widths(gated).items()}


def example(images: Images) -> Tensor:
    """Some real images, (at most 16, channels, height, width)."""
    return images.subset(torch.arange(min(16, len(images)))).tensors()[0]
