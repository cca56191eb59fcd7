"""Exported files, opened as functions of images to logits."""

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from advprune.choices import check_count, choose
from advprune.shipping import executorch, onnx, openvino
from advprune.shipping.extras import need

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Shipped(nn.Module):
    """An exported file in its own runtime: a network without gradients.

    Attributes:
        path: The file.
        backend: What runs it, with its version.
        metadata: What the file says of itself: `classes`, `threat` and others.
        sha256: Hash of all its files, (32,) uint8; a buffer, so that the file's content counts
            where a network's tensors would.
    """

    sha256: Tensor

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        super().__init__()
        self.path = Path(path)
        check_count("threads", threads)
        opened = choose("kind of exported file", self.path.suffix, RUNTIMES)
        if not self.path.is_file():
            raise ValueError(f"{path} is no file")
        try:
            self._run, self.backend = opened(self.path, threads)
        except Exception as error:  # each runtime has its own kind
            if isinstance(error, ValueError):
                raise
            raise ValueError(f"{path} cannot be opened: {error}") from error
        self.metadata = METADATA.get(self.path.suffix, _no_metadata)(self.path)
        self.register_buffer("sha256", _hash(files(self.path)))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width) in [0, 1]."""
        found = self._run(images.detach().cpu().contiguous().numpy())
        return torch.from_numpy(found).to(images.device)


def files(path: Path) -> list[Path]:
    """All files that an exported one consists of."""
    weights = (
        path.with_suffix(".bin") if path.suffix == ".xml" else path.with_name(path.name + ".data")
    )
    return [path, weights] if weights.is_file() else [path]


def _onnxruntime(path: Path, threads: int) -> tuple[Run, str]:
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    run = lambda images: session.run(None, {name: images})[0]  # noqa: E731
    return run, f"ONNX Runtime {runtime.__version__}, CPU"


def _openvino(path: Path, threads: int) -> tuple[Run, str]:
    runtime = need("openvino")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = runtime.Core().compile_model(path, "CPU", settings).create_infer_request()
    run = lambda images: request.infer(images)[0].copy()  # noqa: E731
    return run, f"OpenVINO {runtime.__version__.partition('-')[0]}, CPU"


def _executorch(path: Path, threads: int) -> tuple[Run, str]:  # noqa: ARG001 - XNNPACK's own
    runtime = need("executorch.runtime")
    method = runtime.Runtime.get().load_program(path).load_method("forward")

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = torch.from_numpy(images).split(executorch.LARGEST_BATCH)  # type: ignore[no-untyped-call]
        return torch.cat([method.execute([part])[0].clone() for part in parts]).numpy()

    return run, f"ExecuTorch {version('executorch')}, XNNPACK"


def _hash(paths: list[Path]) -> Tensor:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def _no_metadata(_: Path) -> dict[str, Any]:
    return {}


RUNTIMES: dict[str, Callable[[Path, int], tuple[Run, str]]] = {
    ".onnx": _onnxruntime,
    ".xml": _openvino,
    ".pte": _executorch,
}
METADATA: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".onnx": onnx.read_metadata,
    ".xml": openvino.read_metadata,
}
