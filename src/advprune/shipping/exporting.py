"""A network as a file that other runtimes run."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from advprune.choices import choose
from advprune.gates import GatedModel
from advprune.models.logits import logits_of
from advprune.shipping import executorch, int8, onnx, openvino, program
from advprune.shipping.manifest import plain, sha256
from advprune.shipping.parity import Parity, check, compare
from advprune.shipping.runtime import Shipped, files

Writer = Callable[[ExportedProgram, Path, dict[str, Any]], None]

FORMATS: dict[str, Writer] = {
    ".onnx": onnx.write,
    ".xml": openvino.write,
    ".pt2": program.write,
    ".pte": executorch.write,
}
"""Ways to write a file, by its suffix."""

QUANTISERS: dict[str, Callable[[Path, Tensor], None]] = {
    ".onnx": int8.onnx,
    ".xml": int8.openvino,
}


@dataclass(frozen=True)
class Export:
    """A file that was written and found to answer as the network does.

    Attributes:
        path: The file.
        bytes: Its size, with the weights that lie beside it.
        int8: Whether it computes in int8.
        parity: How its answers compare with the network's.
        backend: What ran it for that.
    """

    path: Path
    bytes: int
    int8: bool
    parity: Parity
    backend: str

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return asdict(self) | {"path": self.path.name}


def export(
    model: nn.Module,
    path: str | Path,
    example_input: Tensor,
    *,
    calibration: Tensor | None = None,
    **metadata: Any,
) -> Export:
    """Write a network to a file for another runtime, and check it there against the network.

    The file takes float32 images in [0, 1] in batches of any size and gives logits; normalisation
    is inside, as in the network. It appears only when it was run on the example's images and
    found to answer as the network does.

    Args:
        model: Any network; it is left as it was.
        path: Where to write; its suffix says what: `.onnx` (opset 20), `.xml` (OpenVINO, weights
            in `.bin` beside it), `.pte` (ExecuTorch with XNNPACK, at most 32
            images a call), `.pt2` (a torch program, one
            way: advprune never loads it).
        example_input: Real images (batch, channels, height, width) in [0, 1], for the check; more
            make it stricter.
        calibration: Images of the training split; given, an `.onnx` or `.xml` file is quantised
            to int8 with the ranges of their activations.
        metadata: `classes`, `threat` and others, written into the file where its format has a
            place (not `.pte`); values that JSON holds.

    Returns:
        The file, its size and how it compares.

    Raises:
        ValueError: If the suffix is unknown, a package is missing (names the extra), the network
            has no such form, or the file answers otherwise; then no file is written.
    """
    path = Path(path)
    writer = choose("kind of file to export to", path.suffix, FORMATS)
    _check(model, example_input, calibration)
    facts = {key: plain(key, value) for key, value in metadata.items()}
    images = example_input.detach().cpu()
    with torch.no_grad():
        expected = logits_of(copy.deepcopy(model).cpu().eval(), images)
    largest_batch = executorch.LARGEST_BATCH if path.suffix == ".pte" else None
    exported = program.program(model, images, largest_batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        draft = Path(temporary) / path.name
        if calibration is None:
            writer(exported, draft, facts)
        else:
            quantise = choose("kind of file for int8", path.suffix, QUANTISERS)
            writer(exported, draft, facts | {"calibration": _origin(calibration)})
            quantise(draft, calibration.detach().cpu())
        run, backend = _opened(draft, exported)
        parity = compare(run, images, expected)
        check(parity, int8=calibration is not None)
        _replace(path, files(draft))
    size = sum(part.stat().st_size for part in files(path))
    return Export(path, size, calibration is not None, parity, backend)


def _check(model: nn.Module, example_input: Tensor, calibration: Tensor | None) -> None:
    if isinstance(model, GatedModel):
        raise ValueError("a gated model is for training: export what advprune.slim makes of it")
    for name, images in (("example_input", example_input), ("calibration", calibration)):
        if images is not None and (images.dim() != 4 or not len(images)):
            raise ValueError(
                f"{name} has shape {tuple(images.shape)}; allowed is (batch, channels, height, "
                "width) with at least one image"
            )


def _origin(calibration: Tensor) -> dict[str, Any]:
    """What a reader needs to tell whether images of the test split were used."""
    content = calibration.detach().cpu().contiguous().numpy().tobytes()
    return {"images": len(calibration), "sha256": sha256(content)}


def _opened(draft: Path, exported: ExportedProgram) -> tuple[Callable[[Tensor], Tensor], str]:
    """The file in its runtime; of a `.pt2`, which is never loaded here, what was written."""
    if draft.suffix == ".pt2":
        return exported.module(), f"torch {torch.__version__}, before it was written"
    shipped = Shipped(draft)
    return shipped, shipped.backend


def _replace(path: Path, parts: list[Path]) -> None:
    """Put a file's parts in place of those that stood there."""
    if path.is_file():
        for old in files(path):
            old.unlink()
    for part in parts:
        part.replace(path.with_name(part.name))
