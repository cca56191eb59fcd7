from pathlib import Path

import pytest
import torch

import advprune as ap
from advprune.shipping.bench import bench


@pytest.fixture
def saved(tmp_path: Path) -> str:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    return str(ap.save(model, tmp_path / "model", input_shape=[1, 8, 8]))


def test_each_file_is_timed_at_each_batch_size_by_its_runtime(saved: str, tmp_path: Path) -> None:
    images = torch.rand(2, 1, 8, 8)
    exported = ap.export(ap.load(saved), tmp_path / "model.onnx", images, input_shape=[1, 8, 8])
    times = bench(
        [saved, str(exported.path)], batch_sizes=(1, 3), threads=2, rounds=2, compiled=False
    )
    assert list(times) == [saved, str(exported.path)]
    assert [time.batch for time in times[saved]] == [1, 3]
    assert {time.threads for found in times.values() for time in found} == {2}
    assert "eager" in times[saved][0].backend
    assert "ONNX Runtime" in times[str(exported.path)][0].backend


def test_files_for_images_of_different_sizes_cannot_be_compared(saved: str, tmp_path: Path) -> None:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    silent = str(ap.save(model, tmp_path / "silent"))
    larger = ap.models.build("lenet5_caffe", widths=[2, 2, 4])
    other = str(ap.save(larger, tmp_path / "other", input_shape=[1, 28, 28]))
    with pytest.raises(ValueError, match=r"one size.*none of them"):
        bench([silent])
    with pytest.raises(ValueError, match=r"model: \(1, 8, 8\).*other: \(1, 28, 28\)"):
        bench([saved, other])
