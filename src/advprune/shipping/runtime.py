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

Pass = Callable[[], NDArray[np.float32]]
Prepare = Callable[[NDArray[np.float32]], Pass]
"""Hands images to a runtime; each call of what it gives is one pass over them."""


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
            self._prepare, self.backend = opened(self.path, threads)
        except Exception as error:  # each runtime has its own kind
            if isinstance(error, ValueError):
                raise
            raise ValueError(f"{path} cannot be opened: {error}") from error
        self.metadata = METADATA.get(self.path.suffix, _no_metadata)(self.path)
        self.register_buffer("sha256", _hash(files(self.path)))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width) in [0, 1]."""
        return torch.from_numpy(self.prepared(images)()).to(images.device)

    def prepared(self, images: Tensor) -> Pass:
        """One pass over these images to call again and again: the runtime alone, without torch."""
        return self._prepare(images.detach().cpu().contiguous().numpy())


def files(path: Path) -> list[Path]:
    """All files that an exported one consists of."""
    weights = (
        path.with_suffix(".bin") if path.suffix == ".xml" else path.with_name(path.name + ".data")
    )
    return [path, weights] if weights.is_file() else [path]


def _onnxruntime(path: Path, threads: int) -> tuple[Prepare, str]:
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,), (asked,) = session.get_inputs(), session.get_outputs()

    def prepare(images: NDArray[np.float32]) -> Pass:
        binding = session.io_binding()
        binding.bind_cpu_input(given.name, images)
        binding.bind_output(asked.name)

        def run() -> NDArray[np.float32]:
            session.run_with_iobinding(binding)
            logits: NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
            return logits

        return run

    return prepare, f"ONNX Runtime {runtime.__version__}, CPU"


def _openvino(path: Path, threads: int) -> tuple[Prepare, str]:
    runtime = need("openvino")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = runtime.Core().compile_model(path, "CPU", settings).create_infer_request()

    def prepare(images: NDArray[np.float32]) -> Pass:
        given = runtime.Tensor(images, shared_memory=True)

        def run() -> NDArray[np.float32]:
            request.set_input_tensor(given)  # the request is shared by all that was prepared
            request.infer()
            logits: NDArray[np.float32] = request.get_output_tensor().data.copy()
            return logits

        return run

    return prepare, f"OpenVINO {runtime.__version__.partition('-')[0]}, CPU"


def _executorch(path: Path, threads: int) -> tuple[Prepare, str]:  # noqa: ARG001 - XNNPACK's own
    runtime = need("executorch.runtime")
    method = runtime.Runtime.get().load_program(path).load_method("forward")

    def prepare(images: NDArray[np.float32]) -> Pass:
        parts = torch.from_numpy(images).split(executorch.LARGEST_BATCH)  # type: ignore[no-untyped-call]
        return lambda: torch.cat([method.execute([part])[0].clone() for part in parts]).numpy()

    return prepare, f"ExecuTorch {version('executorch')}, XNNPACK"


def _hash(paths: list[Path]) -> Tensor:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def _no_metadata(_: Path) -> dict[str, Any]:
    return {}


RUNTIMES: dict[str, Callable[[Path, int], tuple[Prepare, str]]] = {
    ".onnx": _onnxruntime,
    ".xml": _openvino,
    ".pte": _executorch,
}
METADATA: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".onnx": onnx.read_metadata,
    ".xml": openvino.read_metadata,
}
