from functools import partial
from pathlib import Path
from typing import Any

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


def test_a_compiled_network_is_timed_beside_the_eager_one(
    saved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = partial(torch.compile, backend="aot_eager")  # all but the C++ compiler, for time
    monkeypatch.setattr(torch, "compile", graphs)
    times = bench([saved], batch_sizes=(1, 2), rounds=2)
    assert list(times) == [saved, f"{saved}, compiled"]
    assert [time.batch for time in times[f"{saved}, compiled"]] == [1, 2]
    assert times[f"{saved}, compiled"][0].backend.endswith("compiled")


def test_without_a_compiler_the_others_are_timed_and_the_reason_is_told(
    saved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        def run(_: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE")

        return run

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.warns(UserWarning, match=r"compiled: left out.*No working C\+\+ compiler found$"):
        times = bench([saved], batch_sizes=(1,), rounds=2)
    assert list(times) == [saved]


def test_files_for_images_of_different_sizes_cannot_be_compared(saved: str, tmp_path: Path) -> None:
    model = ap.models.build("small_cnn", widths=[2, 2, 4])
    silent = str(ap.save(model, tmp_path / "silent"))
    larger = ap.models.build("lenet5_caffe", widths=[2, 2, 4])
    other = str(ap.save(larger, tmp_path / "other", input_shape=[1, 28, 28]))
    with pytest.raises(ValueError, match=r"one size.*none of them"):
        bench([silent])
    with pytest.raises(ValueError, match=r"model: \(1, 8, 8\).*other: \(1, 28, 28\)"):
        bench([saved, other])
