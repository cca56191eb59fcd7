"""The main job: from a recipe to a small robust model and its report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from advprune import data, models, pruning, report, shipping, training
from advprune.data import Splits
from advprune.evaluation import write_json
from advprune.files import write_text
from advprune.gates import GatedModel
from advprune.recipes import figures, loading
from advprune.recipes.figures import Figures
from advprune.recipes.judging import judge
from advprune.recipes.schema import Recipe
from advprune.training import Trained, checkpoint

COMPRESSED = "compressed.safetensors"
"""The file of a recipe that compresses; `pruning.deep_compression.decompress` reads it."""


def run_recipe(
    recipe: Recipe, out: str | Path, *, resume: bool = False, console: Console | None = None
) -> Path:
    """Loads data, trains all phases, slims, evaluates before and after, saves and reports.

    What is finished stays in ``out`` whatever happens later: with ``resume`` no stage is done
    twice, and training continues to the bit.

    Args:
        recipe: What to do.
        out: Folder of the run; see the design of a run's folder.
        resume: Whether to continue the run in ``out``.
        console: Where progress and the final table are shown.

    Returns:
        The path of the report.

    Raises:
        ValueError: ``out`` holds another run, or the data, the model or the models to transfer
            attacks from are not as the recipe says; before any training.
    """
    out, console = Path(out), console or Console()
    splits, dense, trained = train_recipe(recipe, out, resume=resume, console=console)
    return reported(out, _judged(recipe, out, splits, dense, trained), console)


def load_data(recipe: Recipe) -> Splits:
    """Loads the images that a recipe names, split as it says.

    Raises:
        ValueError: they are not as the recipe says; names the key.
    """
    settings = recipe.data
    try:
        return data.load(
            settings.name,
            path=settings.path,
            validation=settings.validation,
            seed=recipe.seed,
            **settings.arguments,
        )
    except FileNotFoundError as error:
        raise ValueError(f"data.path = {settings.path!r}: {error}") from error
    except ValueError as error:
        raise ValueError(f"data: {error}") from error


def train_recipe(
    recipe: Recipe, out: Path, *, resume: bool, console: Console
) -> tuple[Splits, nn.Module, Trained]:
    """The first half of `run_recipe`: all that happens before the test images are looked at.

    Returns:
        The data, the network as it was before training, and what training left.
    """
    _check_folder(recipe, out, resume)
    splits = load_data(recipe)
    _check_evaluation(recipe, splits)
    networks = _networks(recipe)
    model = _narrowed(recipe, _built(recipe), splits)
    write_text(out / "recipe.yaml", loading.dump(recipe))
    trained = training.train(
        model,
        splits,
        recipe.threat.build(),
        recipe.training,
        out=out,
        slim=pruning.slim,
        gates=recipe.gates,
        networks=networks,
        resume=resume,
        console=console,
    )
    console.print(_gap(trained), highlight=False, soft_wrap=True)
    return splits, model, trained


def shipped(trained: Trained, images: Tensor) -> nn.Module:
    """The plain network that training leads to, in eval mode.

    Args:
        trained: What training left.
        images: Real ones, (batch, channels, height, width), on which a gated one proves its cut.
    """
    model = trained.model.cpu().eval()
    if isinstance(model, GatedModel):
        return pruning.slim(model, images)
    return pruning.without_unread(model, images)


def reported(out: Path, result: Figures, console: Console) -> Path:
    """Writes the figures and their page, shows the table; returns the page's path."""
    write_json(out / "result.json", result)
    page = report.write(out)
    console.print(_table(result))
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
    return page


def _check_folder(recipe: Recipe, out: Path, resume: bool) -> None:
    path = out / "recipe.yaml"
    if not path.is_file() or checkpoint.latest(out / "checkpoints") is None:
        return  # what was refused before its first epoch left nothing to lose
    if not resume:
        raise ValueError(
            f"{out} holds a run already: continue it with --resume, or choose another folder"
        )
    if loading.load(path).resolved() != recipe.resolved():
        raise ValueError(f"{path} is not the given recipe: resume a run with its own recipe")


def _check_evaluation(recipe: Recipe, splits: Splits) -> None:
    settings, there = recipe.evaluation, len(splits.test)
    for key, without in (("examples", "all"), ("autoattack", "none")):
        asked = getattr(settings, key)
        if asked is not None and asked > there:
            raise ValueError(
                f"evaluation.{key} = {asked}: {splits.test.name} has {there} images;"
                f" allowed are 1 to {there}, or null for {without}"
            )
    for source in settings.sources:
        try:
            shipping.load(source)
        except ValueError as error:
            raise ValueError(f"evaluation.sources: {error}") from error


def _networks(recipe: Recipe) -> dict[str, nn.Module]:
    """The saved models that training names."""
    try:
        return {name: shipping.load(name) for name in recipe.training.networks}
    except ValueError as error:
        raise ValueError(f"training.phases: {error}") from error


def _built(recipe: Recipe) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        try:
            model = models.build(recipe.model.name, **recipe.model.arguments)
        except ValueError as error:
            raise ValueError(f"model: {error}") from error
    if recipe.model.start_from is not None:
        _start(model, recipe.model.start_from)
    return model


def _narrowed(recipe: Recipe, model: nn.Module, splits: Splits) -> nn.Module:
    """The network with the units that the recipe names."""
    if not recipe.model.kept:
        return model
    try:
        return pruning.narrowed(model, recipe.model.kept, figures.example(splits.train))
    except ValueError as error:
        raise ValueError(f"model.{error}") from error


def _start(model: nn.Module, source: str) -> None:
    """Gives a model the weights of a saved one.

    Raises:
        ValueError: There is none, or it has another shape.
    """
    try:
        model.load_state_dict(shipping.load(source).state_dict())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"model.start_from = {source!r}: {error}") from error


def _judged(
    recipe: Recipe, out: Path, splits: Splits, dense: nn.Module, trained: Trained
) -> Figures:
    """Everything in ``result.json``, each stage kept in ``stages/`` as soon as it is done."""
    gated = trained.model if isinstance(trained.model, GatedModel) else trained.gated
    images = figures.example(splits.validation)
    after = shipped(trained, images)
    size = pruning.compress_in_place(after, out / COMPRESSED) if recipe.compress else None
    judged = {"after": after}
    if gated is not None:
        judged = {"before": gated.cpu().eval(), **judged}
    plain = {key: dense if key == "before" else network for key, network in judged.items()}
    result = judge(recipe, out, splits, judged, plain, trained)
    if gated is not None:
        result["before"]["widths"] = figures.uncut(gated)
        result["after"]["widths"] = figures.widths(gated)
    if size is not None:
        result["after"]["cost"]["bytes"] = size
    return result


def _gap(trained: Trained) -> str:
    return (
        f"validation robust accuracy: best checkpoint {trained.best:.2%}, last {trained.last:.2%},"
        f" gap {trained.best - trained.last:.2%}; trained in {trained.seconds:.0f} s"
    )


_ROWS: dict[str, Callable[[Figures], str]] = {
    "clean accuracy": lambda net: f"{net['clean']:.2%}",
    "robust accuracy": lambda net: f"{net['robust']:.2%}",
    "vulnerability": lambda net: f"{net['vulnerability']['network']:.4f}",
    "  relative": lambda net: f"{net['vulnerability']['relative']:.4f}",
    "parameters": lambda net: f"{net['cost']['parameters']:,}",
    "MACs": lambda net: f"{net['cost']['macs']:,}",
    "bytes": lambda net: f"{net['cost']['bytes']:,}",
    "ms, 1 image": lambda net: f"{net['latency'][0]['median_ms']:.3f}",
    f"ms, {figures.BATCH} images": lambda net: f"{net['latency'][1]['median_ms']:.2f}",
}


def _table(result: dict[str, Any]) -> Table:
    keys = [key for key in report.NETWORKS if key in result]
    table = Table("", title=result["recipe"])
    for key in keys:
        named = "dense" if key == "dense" else f"{key} slimming"
        table.add_column(named if len(keys) > 1 else "trained", justify="right")
    for label, show in _ROWS.items():
        table.add_row(label, *(show(result[key]) for key in keys))
    return table
