import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from advprune.data import idx

MNIST = Path(__file__).parents[3] / "shared/data/mnist"


def idx_bytes(*shape: int, values: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for prefix in ("train", "t10k"):
        images = idx_bytes(2, 1, 3, values=bytes([0, 1, 2, 3, 4, 255]))
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(images)
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(2, values=bytes([1, 0])))
    return tmp_path


def test_a_folder_of_four_files_is_read(folder: Path) -> None:
    train = idx.read(folder)["train"]
    assert train.x[:, 0].tolist() == [[[0, 1, 2]], [[3, 4, 255]]]
    assert train.y.tolist() == [1, 0]
    assert train.classes == ("0", "1")


def test_gzipped_files_and_a_dot_before_idx_are_read_as_well(folder: Path) -> None:
    plain = folder / IMAGES
    (folder / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert idx.read(folder)["train"].x.flatten().tolist() == [0, 1, 2, 3, 4, 255]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No folder .*nowhere: it should hold the four"):
        idx.read(tmp_path / "nowhere")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / LABELS).unlink()
    with pytest.raises(FileNotFoundError, match="none of train-labels-idx1-ubyte, "):
        idx.read(folder)


def cut(content: bytes) -> bytes:
    return content[:-1]


def cut_within_header(content: bytes) -> bytes:
    return content[:9]


def empty(content: bytes) -> bytes:
    return b""


def of_floats(content: bytes) -> bytes:
    return content[:2] + bytes([0x0D]) + content[3:]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, r"should hold 22 bytes for the shape \(2, 1, 3\) in its header, got 21"),
        (cut_within_header, "ends within its header of 16 bytes"),
        (empty, "should start with 00 00 08 03, got nothing"),
        (of_floats, "should start with 00 00 08 03, got 00 00 0d 03"),
    ],
)
def test_a_damaged_file_is_refused(
    folder: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    file = folder / IMAGES
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=f"{IMAGES}.* {reason}"):
        idx.read(folder)


def test_a_truncated_gzip_file_is_refused(folder: Path) -> None:
    plain = folder / IMAGES
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(plain.read_bytes())[:-6])
    plain.unlink()
    with pytest.raises(ValueError, match="no whole gzip file"):
        idx.read(folder)


def test_more_labels_than_images_are_refused(folder: Path) -> None:
    (folder / LABELS).write_bytes(idx_bytes(3, values=bytes([1, 0, 1])))
    with pytest.raises(ValueError, match="2 images need 2 labels, got"):
        idx.read(folder)


def test_a_test_label_that_training_never_saw_is_refused(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(2, values=bytes([1, 7])))
    with pytest.raises(ValueError, match=r"test: labels must be 0 to 1.*got a label 7"):
        idx.read(folder)


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST}")
def test_mnist_is_read() -> None:
    parts = idx.read(MNIST)
    assert parts["train"].x.shape == (60_000, 1, 28, 28)
    assert parts["test"].x.shape == (10_000, 1, 28, 28)
    assert parts["train"].y[:5].tolist() == [5, 0, 4, 1, 9]
