"""Whether cutting the vulnerable units is what makes a network robust: one network, cut nine ways.

    python benchmarks/claim.py run digits
    python benchmarks/claim.py run mnist --data FOLDER
    python benchmarks/claim.py table digits

For each seed one network is trained adversarially, then cut to the same widths by each score: V,
its relative form and that weighted by the margin's gradient (the most vulnerable units go), the
reverse of V (the least vulnerable go), magnitude, the Taylor scores of the clean, the adversarial
and both losses, and at random. Each cut network gets the same short adversarial training, whose
best epoch PGD on validation images chooses; test images serve the figures alone: PGD-40 as cut,
the suite `quick` once tuned. From the same network ANP-VS prunes to no more multiply-accumulates,
and the rank correlation of each score with its gates is measured, over the living units of each
group: positive where the gates keep what the score keeps.

Scores are taken on training images. Stopped, the same command goes on with the next network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from claim_table import FIRST, RANDOM, TITLES, as_markdown
from machine import machine
from rich.console import Console
from scipy.stats import spearmanr  # type: ignore[import-untyped]
from torch import Tensor, nn

from advprune import data, models, pruning, recipes, training
from advprune.attacks import PGD
from advprune.data.splitting import stratified
from advprune.evaluation import cost, evaluate, write_json
from advprune.gates import GatedModel, gate
from advprune.recipes.run import load_data
from advprune.recipes.schema import Recipe
from advprune.structure import recalibrate
from advprune.training.parts import Budget
from advprune.training.settings import Phase
from advprune.vulnerability import vulnerability_over

RESULTS = Path(__file__).parent / "results" / "claim"
RANKED, BATCH, STEPS = 512, 256, 7


@dataclass(frozen=True)
class Setup:
    """What is trained on which data.

    Attributes:
        recipe: With the phases pretrain, prune and finetune.
        changes: Of the recipe, as on the command line: pretrain trains adversarially, finetune is
            short and suppresses nothing.
    """

    recipe: str
    changes: tuple[str, ...] = field(default=())


SETUPS = {
    "digits": Setup(
        "digits",
        (
            "threat.eps=0.15",
            "training.phases.pretrain.objective=adversarial",
            "training.phases.pretrain.epochs=15",
            "training.phases.prune.epochs=12",
            "training.phases.prune.remove_dead_after=null",
            "training.phases.finetune.epochs=4",
            "training.phases.finetune.vulnerability_weight=0",
            "training.phases.finetune.average=null",
            "evaluation.examples=null",
        ),
    ),
    "mnist": Setup(
        "mnist-anp-vs",
        (
            "gates.per_position=[]",
            "training.phases.pretrain.objective=adversarial",
            "training.phases.pretrain.epochs=7",
            "training.phases.pretrain.learning_rate=4e-3",
            "training.phases.pretrain.eps_warmup_epochs=2",
            "training.phases.pretrain.average=0.999",
            "training.phases.pretrain.attack.steps=5",
            "training.phases.pretrain.attack.step_size=0.1",
            "training.phases.prune.remove_dead_after=null",
            "training.phases.finetune.epochs=2",
            "training.phases.finetune.vulnerability_weight=0",
            "evaluation.examples=1000",
        ),
    ),
}


@click.group(help=__doc__)
def main() -> None:
    """See the module's text."""


@main.command()
@click.argument("name", type=click.Choice(list(SETUPS)))
@click.option("--data", "folder", help="Folder of the data, where the data set needs one.")
@click.option("--seeds", default=5, show_default=True)
@click.option("--keep", default=0.25, show_default=True, help="Share of each group's units.")
@click.option("--runs", default="runs/claim", type=Path, show_default=True)
def run(name: str, folder: str | None, seeds: int, keep: float, runs: Path) -> None:
    """Trains, cuts, tunes and judges what is not done yet."""
    torch.set_num_threads(1)
    report = _begun(name, keep)
    for seed in range(seeds):
        found = report["seeds"].setdefault(str(seed), {"scores": {}})
        case = Case.of(SETUPS[name], seed, keep, folder, runs / name / f"seed-{seed}")
        for score in TITLES:
            if score not in found["scores"]:
                found["scores"][score] = case.cut_by(score)
                write_json(_file(name, keep), report)
                click.echo(f"seed {seed}, {score}: {_shown(found['scores'][score])}")
        if "gates" not in found:
            found |= {"dense": case.judged(case.dense), "gates": case.gates()}
            found["machine"] = machine()
            write_json(_file(name, keep), report)


@main.command()
@click.argument("name", type=click.Choice(list(SETUPS)))
@click.option("--keep", default=0.25, show_default=True, help="Share of each group's units.")
def table(name: str, keep: float) -> None:
    """Prints what was found as Markdown."""
    click.echo(as_markdown(json.loads(_file(name, keep).read_text(encoding="utf-8"))))


@dataclass
class Case:
    """One seed: its network, and what is done with it.

    Attributes:
        recipe: Of all phases.
        splits: Images.
        dense: The network that was trained adversarially, in eval mode.
        gated: The same with fixed gates.
        keep: Share of each group's units that stays.
        folder: Of the runs.
        scores: Of all units, by name.
        living: Which units ever fire, (units,).
    """

    recipe: Recipe
    splits: data.Splits
    dense: nn.Module
    gated: GatedModel
    keep: float
    folder: Path
    scores: Mapping[str, Tensor]
    living: Tensor

    @classmethod
    def of(cls, setup: Setup, seed: int, keep: float, path: str | None, folder: Path) -> "Case":
        """Trains the network, or loads it, and ranks its units."""
        changes = [*setup.changes, f"seed={seed}", *([f"data.path={path}"] if path else [])]
        recipe = recipes.load(setup.recipe, changes)
        splits = load_data(recipe)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = models.build(recipe.model.name, **recipe.model.arguments)
        dense = _trained(recipe, model, splits, _phase(recipe, "pretrain"), folder / "dense").model
        gated = gate(dense, splits.train.subset(range(2)).tensors()[0], "fixed")
        scores = _scores(recipe, gated, splits.train)
        return cls(recipe, splits, dense, gated, keep, folder, scores, scores[FIRST] > 0)

    def cut_by(self, score: str) -> dict[str, Any]:
        """Cuts, judges, tunes, and judges again."""
        pruning.close_to_widths(self.gated, self.scores[score], self.widths)
        small = pruning.slim(self.gated, self.splits.train.subset(range(2)).tensors()[0])
        recalibrate(small, (x for x, _ in data.batches(self._ranked(), BATCH)))
        untuned = self.attacked(small, "paper")
        phase = _phase(self.recipe, "finetune").model_copy(update={"on": "dense"})
        out = self.folder / f"{self.keep:g}" / score
        tuned = _trained(self.recipe, small, self.splits, phase, out)
        return {
            "untuned": untuned,
            "validation_best": tuned.best,
            "tuned": self.judged(tuned.model),
            "macs": cost(tuned.model, self.splits.train.subset(range(1)).tensors()[0]).macs,
        }

    def judged(self, model: nn.Module) -> dict[str, Any]:
        """Accuracy under the quick suite, and V on the same test images under PGD-20."""
        test, subset = self.splits.test, self.recipe.evaluation.examples
        found = self.attacked(model, "quick")
        chosen = test if subset is None else test.subset(stratified(test.y, subset, 0)[1])
        attack = PGD(self.recipe.threat.build(), steps=20)
        forms = vulnerability_over(model, data.batches(chosen, BATCH), attack)
        return {
            **found,
            "vulnerability": forms.network,
            "relative": forms.relative,
            "margin_weighted": forms.margin_weighted,
        }

    def attacked(self, model: nn.Module, suite: str) -> dict[str, Any]:
        """Accuracy on the test images."""
        found = evaluate(
            model.cpu().eval(),
            self.splits.test,
            self.recipe.threat.build(),
            suite,
            subset=self.recipe.evaluation.examples,
            batch_size=BATCH,
        )
        return {
            "clean": found.clean,
            "robust": found.robust,
            "survivors": found.to_dict()["survivors"],
            "data_hash": found.data_hash,
        }

    def gates(self) -> dict[str, Any]:
        """Prunes by ANP-VS to no more MACs; how its gates agree with the scores."""
        macs = self._share_of_macs()
        phase = _phase(self.recipe, "prune").model_copy(update={"budget": Budget(macs=macs)})
        model = _trained(self.recipe, self.dense, self.splits, phase, self.folder / "gates").model
        assert isinstance(model, GatedModel)
        groups, kept = model.structure.groups, model.keep()
        agreement = {
            score: {
                name: _correlation(own[living], gates[living])
                for (name, own), gates, living in zip(
                    self.gated.structure.split(values).items(),
                    model.structure.split(model.scores()).values(),
                    self.gated.structure.split(self.living).values(),
                    strict=True,
                )
            }
            for score, values in self.scores.items()
        }
        return {
            "kept": {name: int(kept[group.span].sum()) for name, group in groups.items()},
            "living": {n: int(x.sum()) for n, x in model.structure.split(self.living).items()},
            "macs": model.structure.macs(kept),
            "agreement": agreement,
        }

    @property
    def widths(self) -> dict[str, int]:
        """Units of each group that stay."""
        groups = self.gated.structure.groups
        return {name: max(1, round(self.keep * group.units)) for name, group in groups.items()}

    def _share_of_macs(self) -> float:
        structure = self.gated.structure
        kept = {
            name: torch.arange(group.units) < self.widths[name]
            for name, group in structure.groups.items()
        }
        return structure.macs(structure.join(kept)) / structure.macs()

    def _ranked(self) -> data.Images:
        return _drawn(self.splits.train, self.recipe.seed)


def _scores(recipe: Recipe, gated: GatedModel, images: data.Images) -> dict[str, Tensor]:
    """All scores from the same images, attacked once."""
    x, y = _drawn(images, recipe.seed).tensors()
    x_adv = PGD(recipe.threat.build(), steps=STEPS)(gated, x, y)
    generator = torch.Generator().manual_seed(recipe.seed)
    return {
        name: torch.rand(gated.structure.units, generator=generator)
        if name == RANDOM
        else pruning.SCORES[name](gated, [(x, y)], lambda *_: x_adv)
        for name in TITLES
    }


def _drawn(images: data.Images, seed: int) -> data.Images:
    return images.subset(stratified(images.y, min(RANKED, len(images)), seed)[1])


def _phase(recipe: Recipe, name: str) -> Phase:
    return next(phase for phase in recipe.training.phases if phase.name == name)


def _trained(
    recipe: Recipe, model: nn.Module, splits: data.Splits, phase: Phase, out: Path
) -> training.Trained:
    return training.train(
        model,
        splits,
        recipe.threat.build(),
        recipe.training.model_copy(update={"phases": (phase,)}),
        out=out,
        slim=pruning.slim,
        gates=recipe.gates,
        resume=out.exists(),
        console=Console(quiet=True),
    )


def _correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's; 0 where one of them is constant."""
    found = float(spearmanr(one.numpy(), other.numpy()).statistic)
    return 0.0 if found != found else found


def _shown(found: Mapping[str, Any]) -> str:
    states = ((state, found[state]["robust"]) for state in ("untuned", "tuned"))
    return ", ".join(f"{state} robust {robust:.3f}" for state, robust in states)


def _begun(name: str, keep: float) -> dict[str, Any]:
    """What the file holds of the same experiment, else nothing but its settings."""
    setup = SETUPS[name]
    resolved = recipes.load(setup.recipe, setup.changes).model_dump(mode="json")
    header = {"benchmark": "units cut by vulnerability", "keep": keep, "recipe": resolved}
    file = _file(name, keep)
    if file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in header.items()):
            return found
    return {**header, "seeds": {}}


def _file(name: str, keep: float) -> Path:
    return RESULTS / f"{name}-{keep:g}.json"


if __name__ == "__main__":
    main()
