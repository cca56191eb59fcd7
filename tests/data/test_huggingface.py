import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from advprune.data import huggingface

CIFAR = Path(__file__).parents[3] / "shared/data/cifar10/plain_text"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets  # type: ignore[import-untyped]

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def rows(split: str, **columns: Any) -> Any:
    """Give a data set of two grey pictures as the library would."""
    import datasets

    shade = {"train": 10, "validation": 20, "test": 30}[split]
    features = datasets.Features(
        {
            "img": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "note": datasets.Value("string"),
        }
    )
    pictures = [Image.new("L", (4, 4), shade + label) for label in (0, 1)]
    values = {"img": pictures, "label": [1, 0], "note": ["a", "b"], **columns}
    return datasets.Dataset.from_dict(values, features=features)


def saved(folder: Path, *splits: str, **columns: Any) -> Path:
    import datasets

    datasets.DatasetDict({split: rows(split, **columns) for split in splits}).save_to_disk(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "pets", "train", "test", "validation")


def test_columns_and_classes_are_found(folder: Path) -> None:
    parts = huggingface.read(folder, channels=1)
    assert parts["train"].classes == ("cat", "dog")
    assert parts["train"].y.tolist() == [1, 0]
    assert {split: images.x[:, 0, 0, 0].tolist() for split, images in parts.items()} == {
        "train": [10, 11],
        "validation": [20, 21],
        "test": [30, 31],
    }


def test_validation_takes_the_place_of_a_missing_test(tmp_path: Path) -> None:
    parts = huggingface.read(saved(tmp_path / "pets", "train", "validation"), channels=1)
    assert parts["test"].x[:, 0, 0, 0].tolist() == [20, 21]
    assert set(parts) == {"train", "test"}


def test_a_data_set_without_test_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train and test \(or validation\), has train"):
        huggingface.read(saved(tmp_path / "pets", "train"))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"image": "pic"}, r"No column 'pic' of images; there are img \(Image\), label"),
        ({"image": "note"}, "No column 'note' of images"),
        ({"label": "kind"}, r"No column 'kind' of labels; there are img \(Image\), label"),
        ({"label": "note"}, "Column 'note' must hold integer class indices"),
    ],
)
def test_a_missing_or_unfit_column_is_told_with_those_that_exist(
    folder: Path, columns: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        huggingface.read(folder, **columns)


def test_a_row_without_a_label_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", "train", "test", label=[1, None])
    with pytest.raises(ValueError, match="Column 'label' must hold integer class indices on every"):
        huggingface.read(folder)


def test_a_row_without_an_image_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", "train", "test", img=[Image.new("L", (4, 4)), None])
    with pytest.raises(ValueError, match="pets train: row 1 has no image in column 'img'"):
        huggingface.read(folder)


@pytest.mark.parametrize(
    "path", ["./nowhere", "/nowhere", "~/nowhere", "data/pets/nowhere", Path("nowhere")]
)
def test_a_missing_folder_is_named_and_not_looked_for_on_the_hub(path: str | Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No folder .*nowhere: it should hold"):
        huggingface.read(path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing here")
    with pytest.raises(FileNotFoundError, match="The folder gives no data set"):
        huggingface.read(tmp_path)


def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'advprune\[huggingface\]'"):
        huggingface.read(folder)


@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"no CIFAR-10 in {CIFAR}")
def test_a_folder_of_parquet_files_is_found(tmp_path: Path) -> None:
    import datasets

    (file,) = CIFAR.glob("test-*.parquet")
    small = datasets.Dataset.from_parquet(str(file)).take(20)
    for split in ("train", "test"):
        small.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    images = huggingface.read(tmp_path / "data")["train"]
    assert images.x.shape == (20, 3, 32, 32)
    assert images.y[:4].tolist() == [9, 3, 7, 0]
    assert images.classes[3] == "cat"
