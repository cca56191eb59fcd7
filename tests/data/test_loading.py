from pathlib import Path

import pytest
import torch
from PIL import Image

from advprune.data import Images, load, loading


def toy(labels: list[int], name: str) -> Images:
    x = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Images(x, torch.tensor(labels), ("a", "b"), name)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    parts = {"train": toy([0, 1] * 10, "toy train"), "test": toy([0, 1], "toy test")}
    monkeypatch.setitem(loading.SOURCES, "toy", lambda: dict(parts))
    return parts


@pytest.mark.parametrize(("validation", "held_out"), [(0.2, 4), (4, 4), (0, 0), (0.0, 0)])
def test_validation_is_a_number_or_a_fraction_of_train(
    source: dict[str, Images], validation: float, held_out: int
) -> None:
    splits = load("toy", validation=validation)
    sizes = len(splits.train), len(splits.validation), len(splits.test)
    assert sizes == (20 - held_out, held_out, 2)


def test_holding_a_whole_class_out_is_refused(source: dict[str, Images]) -> None:
    with pytest.raises(ValueError, match=r"needs a training image; none of [ab]"):
        load("toy", validation=19)


def test_validation_is_held_out_of_train_by_class(source: dict[str, Images]) -> None:
    splits = load("toy", validation=6, seed=5)
    assert torch.bincount(splits.validation.y).tolist() == [3, 3]
    pixels = torch.cat([splits.train.x, splits.validation.x]).flatten().sort().values
    assert pixels.tolist() == list(range(20))
    assert splits.test is source["test"]


def test_the_seed_decides_which_images_are_held_out(source: dict[str, Images]) -> None:
    first, again, other = (
        load("toy", validation=6, seed=seed).validation.fingerprint() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_validation_split_of_the_datas_own_is_kept(
    source: dict[str, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = toy([1, 0, 1], "toy validation")
    monkeypatch.setitem(loading.SOURCES, "toy", lambda: {**source, "validation": own})
    splits = load("toy", validation=0.5)
    assert splits.validation is own
    assert len(splits.train) == 20


@pytest.mark.parametrize("validation", [-1, 20, 1.0, -0.1])
def test_an_impossible_validation_is_refused(source: dict[str, Images], validation: float) -> None:
    with pytest.raises(ValueError, match=r"validation must be .* below 20, got"):
        load("toy", validation=validation)


def test_a_class_without_training_images_is_named(
    source: dict[str, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        loading.SOURCES, "toy", lambda: {**source, "train": toy([0] * 9, "toy train")}
    )
    with pytest.raises(ValueError, match=r"toy train: each of the classes .*none of b"):
        load("toy")


def test_a_name_can_carry_its_path(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / place / "1.png")
    assert len(load(f"folder:{tmp_path}", validation=0, channels=1).train) == 2


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("digit", {}, "Unknown data set 'digit' .did you mean 'digits'"),
        ("mnist", {}, "missing a required argument: 'path'"),
        ("digits", {"path": "somewhere"}, "Data set 'digits' takes nothing"),
        ("folder", {"path": ".", "sise": 3}, "did you mean 'size'"),
    ],
)
def test_a_wrong_name_or_option_is_refused(name: str, options: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(name, **options)  # type: ignore[arg-type]  # options are not only strings
