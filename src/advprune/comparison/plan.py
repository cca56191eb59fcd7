"""Which runs a comparison consists of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from advprune import recipes
from advprune.choices import check_count
from advprune.comparison.identity import DIGITS, identity
from advprune.recipes import Recipe, controls


@dataclass(frozen=True)
class PlannedRun:
    """One recipe with one seed.

    Attributes:
        row: Of the table: all runs of a recipe share it.
        recipe: With its seed.
        folder: Where the run is, or will be: named by recipe, seed and identity.
    """

    row: str
    recipe: Recipe
    folder: Path

    @property
    def state(self) -> str:
        """``"done"``, ``"stopped"`` (it can be resumed) or ``"missing"``."""
        if (self.folder / "result.json").is_file():
            return "done"
        return "stopped" if (self.folder / "recipe.yaml").is_file() else "missing"


def plan(
    sources: Sequence[str], seeds: int, out: str | Path, overrides: Iterable[str] = ()
) -> list[PlannedRun]:
    """All runs of a comparison, whether done or not; recipes by turns, so that each gets its first.

    Args:
        sources: Names or files of recipes.
        seeds: How many seeds of each: its own one and those after it.
        out: Folder of all the runs.
        overrides: Values to change in every recipe, as on the command line.

    Raises:
        ValueError: A recipe that is wrong, given twice, or two that share a name.
    """
    check_count("seeds", seeds)
    changes = list(overrides)
    loaded = [recipes.load(source, changes) for source in sources]
    names = [recipe.name for recipe in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"recipes {', '.join(twice)} come twice: each row needs a recipe of its own name"
        )
    return [
        _planned(recipe, recipe.seed + more, Path(out))
        for more in range(seeds)
        for recipe in loaded
    ]


def controls_of(run: PlannedRun) -> list[PlannedRun]:
    """The controls of a run that is done, a row each; none where it pruned no unit."""
    made = [recipes.load(path) for path in controls.write(run.folder)]
    return [_planned(recipe, recipe.seed, run.folder.parent) for recipe in made]


def _planned(recipe: Recipe, seed: int, out: Path) -> PlannedRun:
    seeded = Recipe.model_validate({**recipe.resolved(), "seed": seed})
    folder = f"{recipe.name}-seed{seed}-{identity(seeded)[:DIGITS]}"
    return PlannedRun(recipe.name, seeded, out / folder)
