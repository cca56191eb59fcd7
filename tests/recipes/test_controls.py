import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from advprune import models, recipes
from advprune.gates import gate
from advprune.recipes import Recipe, controls
from advprune.recipes.run import run_recipe
from advprune.shipping import read_manifest
from advprune.structure import Structure
from advprune.training.settings import Phase

RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "data": {"name": "digits", "validation": 100},
        "model": {"name": "small_cnn", "widths": [8, 12, 16]},
        "threat": {"eps": 0.05},
        "gates": {"family": "beta_bernoulli", "per_position": ["f1"]},
        "training": {
            "batch_size": 256,
            "threads": 1,
            "validation_examples": 20,
            "validation_attack_steps": 1,
            "phases": [
                {"name": "pretrain"},
                {
                    "name": "prune",
                    "on": "gated",
                    "objective": "anp",
                    "attack": {"steps": 1},
                    "eps_warmup_epochs": 0.5,
                    "budget": {"macs": 0.3},
                },
                {
                    "name": "finetune",
                    "on": "slim",
                    "objective": "adversarial",
                    "vulnerability_weight": 0.1,
                    "attack": {"steps": 2},
                },
            ],
        },
        "evaluation": {"examples": 20},
        "seed": 3,
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    run_recipe(RECIPE, out, console=Console(file=io.StringIO()))
    return out


@pytest.fixture(scope="module")
def made(run: Path) -> dict[str, Recipe]:
    return {path.stem: recipes.load(path) for path in controls.write(run)}


@pytest.fixture(scope="module")
def macs(run: Path) -> int:
    result = json.loads((run / "result.json").read_text())
    found: int = result["after"]["cost"]["macs"]
    return found


@pytest.fixture(scope="module")
def structure() -> Structure:
    whole = models.build("small_cnn", widths=[8, 12, 16])
    return gate(whole, torch.rand(2, 1, 8, 8), family="fixed").structure


def kept_by(recipe: Recipe, structure: Structure) -> Tensor:
    kept = {
        name: torch.isin(torch.arange(group.units), torch.tensor(recipe.model.kept[name]))
        for name, group in structure.groups.items()
    }
    return structure.join(kept)


def test_there_are_three_of_the_same_threat_data_and_seed(made: dict[str, Recipe]) -> None:
    assert list(made) == ["final-widths", "narrowed", "random-widths"]
    for kind, recipe in made.items():
        assert recipe.name == f"tiny-{kind}"
        assert (recipe.data, recipe.threat, recipe.seed) == (RECIPE.data, RECIPE.threat, 3)
        assert recipe.gates is None
        assert recipe.evaluation == RECIPE.evaluation


def test_the_first_has_the_units_of_the_pruned_network(made: dict[str, Recipe], run: Path) -> None:
    kept = read_manifest(run / "model").kept
    assert set(kept) == {"conv1", "conv2", "f1", "f1.inputs"}
    assert {name: list(units) for name, units in made["final-widths"].model.kept.items()} == kept


def test_random_widths_have_its_macs_short_of_one_unit(
    made: dict[str, Recipe], macs: int, structure: Structure
) -> None:
    kept = kept_by(made["random-widths"], structure)
    cheapest = float(structure.unit_macs(kept)[~kept].min())
    assert structure.macs(kept) <= macs < structure.macs(kept) + cheapest


def test_narrowing_takes_one_share_of_all_layers_and_chance_does_not(
    made: dict[str, Recipe], macs: int, structure: Structure
) -> None:
    totals = {"conv1": 8, "conv2": 12, "f1": 16}
    shares = {
        kind: [len(recipe.model.kept[name]) / total for name, total in totals.items()]
        for kind, recipe in made.items()
    }
    share = max(shares["narrowed"])
    expected = {name: int(share * total + 1e-6) for name, total in totals.items()}
    found = {name: len(made["narrowed"].model.kept[name]) for name in totals}
    assert all(0 <= expected[name] - found[name] <= 1 for name in totals)
    kept = kept_by(made["narrowed"], structure)
    more = {name: min(width + 1, totals[name]) for name, width in found.items()}
    wider = structure.join({n: torch.arange(totals[n]) < width for n, width in more.items()})
    assert structure.macs(kept) <= macs < structure.macs(wider)
    assert max(shares["random-widths"]) - min(shares["random-widths"]) > 0.2


def test_they_train_as_the_run_ends_for_the_macs_it_took(
    made: dict[str, Recipe], run: Path, macs: int, structure: Structure
) -> None:
    """Passes: 3 of clean training; 2 and 6 with one step of attack, 4 and 6 with two."""
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    at = rows[0].index("macs")
    spent = 3 * structure.macs() + 8 * float(rows[2][at]) + 10 * float(rows[3][at])
    for recipe in made.values():
        (phase,) = recipe.training.phases
        assert phase.epochs == round(spent / (10 * macs)) > 1
        assert (phase.on, phase.objective) == ("dense", "adversarial")
        assert (phase.vulnerability_weight, phase.attack.steps) == (0.1, 2)
        assert phase.eps_warmup_epochs == 0.5


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ({"objective": "standard"}, 3),
        ({"objective": "madry", "attack": {"steps": 7}}, 17),
        ({"objective": "adversarial", "attack": {"steps": 7}}, 20),
        ({"objective": "adversarial", "attack": {"replays": 8}}, 6),
        ({"objective": "certified"}, 6),
    ],
)
def test_passes_are_those_forward_and_backward(phase: dict[str, Any], expected: int) -> None:
    assert controls.passes(Phase.model_validate({"name": "one", **phase})) == expected


def test_a_control_runs_and_ends_with_its_widths(
    made: dict[str, Recipe], macs: int, tmp_path: Path
) -> None:
    told = made["final-widths"].resolved()
    told["training"]["phases"][0]["epochs"] = 1
    run_recipe(Recipe.model_validate(told), tmp_path, console=Console(file=io.StringIO()))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["after"]["cost"]["macs"] == macs
    assert controls.write(tmp_path) == []  # it pruned nothing itself


def test_what_is_written_already_stays(run: Path, made: dict[str, Recipe]) -> None:
    path = run / "controls" / "narrowed.yaml"
    path.write_text(path.read_text() + "# mine\n")
    controls.write(run)
    assert path.read_text().endswith("# mine\n")


def test_a_run_that_is_not_finished_has_none(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(recipes.dump(RECIPE))
    with pytest.raises(ValueError, match=r"holds no result\.json"):
        controls.write(tmp_path)
