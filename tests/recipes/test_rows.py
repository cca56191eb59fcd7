"""The recipes for CIFAR-100, on images that only have its shape: do they train, and cut?"""

import io
import json
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from rich.console import Console

from advprune import models, recipes, shipping
from advprune.evaluation import cost
from advprune.recipes import Recipe
from advprune.recipes.run import _built, load_data, shipped, train_recipe

NAMES = [name for name in recipes.names() if name.startswith("cifar100-")]
TRAINED = [f"cifar100-{kind}" for kind in ("adv-bnn", "anp-vs", "ensemble-at", "hydra")]
"""One of each kind: Gaussian weights, gates, other networks' images, weights at 0."""
CLASSES = 100


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A working folder in which data/cifar100 has the columns and names of CIFAR-100's files."""
    folder = tmp_path_factory.mktemp("rows")
    for split, number in (("train", 200), ("test", 100)):
        _made(number).to_parquet(folder / "data/cifar100" / f"{split}-00000-of-00001.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def _made(number: int) -> datasets.Dataset:
    pixels = torch.randint(256, (number, 32, 32, 3), generator=torch.Generator().manual_seed(0))
    labels = [row % CLASSES for row in range(number)]
    return datasets.Dataset.from_dict(
        {
            "img": [Image.fromarray(image.to(torch.uint8).numpy()) for image in pixels],
            "fine_label": labels,
            "coarse_label": [label // 5 for label in labels],
        },
        datasets.Features(
            img=datasets.Image(),
            fine_label=datasets.ClassLabel(names=[f"fine {label}" for label in range(CLASSES)]),
            coarse_label=datasets.ClassLabel(names=[f"coarse {label}" for label in range(20)]),
        ),
    )


def _small(name: str) -> Recipe:
    """The recipe with a narrow network, one epoch and one step of attack a phase."""
    told: dict[str, Any] = recipes.load(name).model_dump(mode="json")
    told["model"] |= {"width": 0.02}
    told["data"] |= {"validation": 20}
    told["training"] |= {
        "batch_size": 180,
        "validation_examples": 4,
        "validation_attack_steps": 1,
        "recalibration_examples": 20,
        "threads": 1,
    }
    told["evaluation"] |= {"examples": 4}
    for phase in told["training"]["phases"]:
        phase["epochs"] = 1
        phase["attack"]["steps"] = 1
    return Recipe.model_validate(told)


def test_every_row_reads_the_same_images_and_has_an_answer_for_each_fine_label() -> None:
    train = load_data(_small(TRAINED[0])).train
    assert list(train.classes) == [f"fine {label}" for label in range(CLASSES)]
    assert train.x.shape == (180, 3, 32, 32)
    rows = [recipes.load(name) for name in NAMES]
    assert len({row.data.model_dump_json() for row in rows}) == 1
    for architecture in {row.model.model_dump_json(exclude={"start_from", "kept"}) for row in rows}:
        arguments = {**json.loads(architecture), "width": 0.02}
        network = models.build(arguments.pop("name"), **arguments).eval()
        assert network(train.subset(range(2)).tensors()[0]).shape == (2, CLASSES)


@pytest.mark.parametrize("name", TRAINED)
def test_a_row_of_each_kind_trains_to_a_plain_network(name: str) -> None:
    recipe = _small(name)
    for other in recipe.training.networks:
        _save_other(Path(other), recipe)
    quiet = Console(file=io.StringIO())
    splits, before, trained = train_recipe(recipe, Path(name), resume=False, console=quiet)
    images, _ = splits.validation.tensors()
    network = shipped(trained, images)
    assert network(images).shape == (20, CLASSES)
    assert bool(network(images).isfinite().all())
    assert 0 < cost(network, images[:1]).macs <= cost(before, images[:1]).macs


def _save_other(folder: Path, recipe: Recipe) -> None:
    shipping.save(
        _built(recipe).eval(),
        folder,
        input_shape=[3, 32, 32],
        input_range=[0.0, 1.0],
        classes=[f"fine {label}" for label in range(CLASSES)],
    )
