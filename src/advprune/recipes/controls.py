"""Recipes of what a pruned run must be compared with: small networks that were never pruned."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from advprune import models
from advprune.files import write_text
from advprune.gates import even, gate, uneven, within
from advprune.objectives import CERTIFIED, DEFENCES, UNATTACKED
from advprune.pruning import Kept
from advprune.recipes import loading
from advprune.recipes.schema import Recipe
from advprune.report import run_files
from advprune.shipping import read_manifest
from advprune.structure import Structure
from advprune.training.settings import Phase

KINDS = {
    "final-widths": "the final widths of {name} from scratch",
    "narrowed": "all layers narrowed alike to the multiply-accumulates of {name}",
    "random-widths": "random widths with the multiply-accumulates of {name}",
}
"""The controls, and what each is of the run by that name."""

FOLDER = "controls"

_PLAIN = {
    "bayesian_pruning": "standard",
    "variational_dropout": "standard",
    "adv_bnn": "adversarial",
    "certified_pruning": "certified",
    "anp": "adversarial",
    **{f"anp_{name}": name for name in DEFENCES},
}
"""What trains a network without gates or Gaussian weights, for objectives that train one with."""

_PASSES = {"standard": 3, "bayesian_pruning": 3, "variational_dropout": 3, "madry": 3}
"""Passes over the network for each image of a step, forward or backward, the attack's aside: one
forward, two backward. All others train on two images at once."""
_PAIRED = 6


def write(run: Path) -> list[Path]:
    """Writes the recipes of a finished run's controls into its folder.

    Three networks with random first weights: the final widths; all layers narrowed alike, to at
    most the multiply-accumulates of the pruned network; random widths that come up to them, short
    of one unit.
    Each is trained by one phase like the run's last, without what prunes, whose radius rises over
    the run's longest warm-up. It lasts for as many multiply-accumulates as the run spent on
    training: steps, times those of the network as it was then, times passes (two for each step of
    the attack, three for each image that is trained on).

    Args:
        run: Folder of the run. Recipes that are there already are left as they are.

    Returns:
        Their paths, in the order of `KINDS`; none where no unit was pruned.

    Raises:
        ValueError: The folder holds no finished run.
    """
    recipe = loading.load(run / "recipe.yaml")
    paths = [run / FOLDER / f"{kind}.yaml" for kind in KINDS]
    if all(path.is_file() for path in paths):
        return paths
    pruned = Pruned.read(run, recipe)
    if not pruned.kept or recipe.model.kept:
        return []
    for path, kept in zip(paths, pruned.widths(), strict=True):
        write_text(path, loading.dump(pruned.control(path.stem, kept)))
    return paths


@dataclass(frozen=True)
class Pruned:
    """A finished run.

    Attributes:
        recipe: Its recipe.
        kept: Units that are left, by group.
        macs: Multiply-accumulates of what is left.
        structure: Of the whole network.
        files: What the run wrote.
    """

    recipe: Recipe
    kept: Kept
    macs: int
    structure: Structure
    files: run_files.RunFiles

    @classmethod
    def read(cls, run: Path, recipe: Recipe) -> "Pruned":
        """Reads the run's folder and finds the groups of its network."""
        files, manifest = run_files.read(run), read_manifest(run / "model")
        model = models.build(recipe.model.name, **recipe.model.arguments)
        shape = manifest.input_shape or []
        images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
        structure = gate(model, images, family="fixed").structure
        return cls(recipe, manifest.kept, files.result["after"]["cost"]["macs"], structure, files)

    def widths(self) -> tuple[Kept, Kept, Kept]:
        """The units of each control."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        whole, macs = self.structure, self.macs
        every = torch.ones(whole.units, dtype=torch.bool)
        random = within(whole, every, uneven(whole, generator), macs)
        return self.kept, _units(whole, _alike(whole, macs)), _units(whole, random)

    def control(self, kind: str, kept: Kept) -> Recipe:
        """The recipe of a control."""
        told: dict[str, Any] = self.recipe.resolved()
        told["name"] = f"{self.recipe.name}-{kind}"
        told["description"] = (
            f"Control: {KINDS[kind].format(name=self.recipe.name)}, trained alike."
        )
        told["model"] |= {"kept": kept, "start_from": None}
        told["training"]["phases"] = [self._phase().model_dump(mode="json")]
        return Recipe.model_validate({**told, "gates": None, "compress": False})

    def _phase(self) -> Phase:
        phases = self.recipe.training.phases
        last = phases[-1]
        told = last.model_dump(mode="json") | {
            "name": "train",
            "on": "dense",
            "objective": _PLAIN.get(last.objective, last.objective),
            "eps_warmup_epochs": max(phase.eps_warmup_epochs for phase in phases),
            "budget": None,
            "criterion": "gates",
            "remove_dead_after": None,
            "sparsity": None,
            "penalty": None,
            "shrinkage": 0,
        }
        one = Phase.model_validate(told)
        return one.model_copy(update={"epochs": max(1, round(self._epochs(one)))})

    def _epochs(self, phase: Phase) -> float:
        """How long a network of the final cost may train in that way for what the run has spent."""
        spent = last_step = 0.0
        phases = {phase.name: phase for phase in self.recipe.training.phases}
        metrics = self.files.metrics
        columns = metrics.columns
        for name, step, macs in zip(metrics.phases, columns["step"], columns["macs"], strict=True):
            there = self.structure.macs() if macs != macs else macs
            spent += (step - last_step) * there * passes(phases[name])
            last_step = step
        steps = last_step / sum(phase.epochs for phase in phases.values())
        return spent / (steps * self.macs * passes(phase))


def _alike(structure: Structure, macs: int) -> Tensor:
    """Returns the units, (units,) bool, of the largest share of each group that costs no more."""
    order = even(structure).argsort(descending=True, stable=True)

    def first(count: int) -> Tensor:
        return torch.zeros(structure.units, dtype=torch.bool).index_fill(0, order[:count], True)

    counts = range(len(structure.groups) + 1, structure.units + 1)
    fitting = bisect_right(counts, macs, key=lambda count: structure.macs(first(count)))
    return first(len(structure.groups) + fitting)


def _units(structure: Structure, keep: Tensor) -> Kept:
    return {name: one.nonzero().flatten().tolist() for name, one in structure.split(keep).items()}


def passes(phase: Phase) -> int:
    """Passes over the network, forward or backward, for each image of one step of training."""
    attacked = phase.objective not in UNATTACKED | CERTIFIED and phase.attack.replays is None
    attack = 2 * phase.attack.steps if attacked else 0
    return attack + _PASSES.get(phase.objective, _PAIRED)
