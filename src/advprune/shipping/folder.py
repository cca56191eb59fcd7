"""Saved models: a folder with a manifest and the weights, written whole or not at all."""

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from advprune.shipping.manifest import (
    MANIFEST,
    WEIGHTS,
    Architecture,
    File,
    Manifest,
    TensorFacts,
    inside,
    plain,
    read_manifest,
    sha256,
)
from advprune.shipping.rebuild import rebuild
from advprune.shipping.zoo import locate


def save(model: nn.Module, folder: str | Path, **metadata: Any) -> Path:
    """Write a model to a folder that any process can load, without pickle.

    The folder holds `manifest.json` (architecture, shapes, hashes, metadata) and
    `model.safetensors`. It appears whole, after it was read back and found equal; a saved model
    that stood there before is replaced.

    Args:
        model: A network built by `models.build`, or slimmed from one; it carries `architecture`.
        folder: Where to write; a folder with anything but a saved model in it is refused.
        metadata: `input_shape` (channels, height, width), `input_range`, `classes`, `threat`,
            `results`, and any other key with a value that JSON holds.

    Returns:
        The folder.

    Raises:
        ValueError: If the model cannot be rebuilt, the folder is not ours, or metadata does not
            fit.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    if reserved := metadata.keys() & {"format", "architecture", "weights", "tensors"}:
        raise ValueError(f"metadata {sorted(reserved)}: these keys are the manifest's own")
    architecture = _architecture(model)
    state = _tensors(model)
    weights = safetensors.torch.save(state)
    facts = {key: plain(key, value) for key, value in metadata.items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        draft = Path(temporary) / "new"
        draft.mkdir()
        (draft / WEIGHTS).write_bytes(weights)
        manifest = Manifest(
            architecture=architecture,
            weights=File(name=WEIGHTS, sha256=sha256(weights)),
            tensors=_facts(state),
            **facts,
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _check_equal(model, load(draft, trust_code=True), manifest.input_shape)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        draft.rename(folder)
    return folder


def load(source: str | Path, *, trust_code: bool = False) -> nn.Module:
    """Read a saved model, without pickle and without running anything it brings along.

    Args:
        source: A folder that `save` wrote, or "zoo:NAME" for a model that comes with advprune.
        trust_code: Whether a model whose architecture is "package.module:callable" may import
            that module, which runs it.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        ValueError: If it is not there, of a newer format, damaged, changed, leads out of its
            folder, or would need code that is not trusted.
    """
    folder = locate(source)
    manifest = read_manifest(folder)
    if ":" in manifest.architecture.name and not trust_code:
        raise ValueError(
            f"{folder} needs the code {manifest.architecture.name!r}; "
            "if you trust it, load with trust_code=True (--trust-code on the command line)"
        )
    return rebuild(manifest.architecture, _read_weights(folder, manifest))


def _read_weights(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    path = inside(folder, manifest.weights.name)
    if not path.is_file():
        raise ValueError(f"{path} is missing; get the model again")
    content = path.read_bytes()
    if (found := sha256(content)) != manifest.weights.sha256:
        raise ValueError(
            f"{path} is damaged or was changed: its SHA-256 is {found}, the manifest says "
            f"{manifest.weights.sha256}; get the model again"
        )
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    if _facts(tensors) != manifest.tensors:
        raise ValueError(f"{path} does not hold the tensors that the manifest lists")
    return tensors


def _architecture(model: nn.Module) -> Architecture:
    described = getattr(model, "architecture", None)
    if not isinstance(described, Mapping):
        raise ValueError(
            f"{type(model).__name__} does not say how to build it: only networks made by "
            "advprune.models.build can be saved, by a registered name or by "
            "'package.module:callable', and what slim made of them"
        )
    return Architecture.model_validate(plain("architecture", dict(described)))


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= {MANIFEST, WEIGHTS}:
        raise ValueError(f"{folder} holds other files than a saved model; give another folder")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder")


def _check_equal(model: nn.Module, rebuilt: nn.Module, input_shape: list[int] | None) -> None:
    """Check that what reads back is what was saved: its tensors, and its answers where possible."""
    copies = rebuilt.state_dict()
    if any(not torch.equal(copies[name], own.cpu()) for name, own in model.state_dict().items()):
        raise ValueError("the model reads back with other tensors than it was saved with")
    if input_shape is None:
        return
    images = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    model = copy.deepcopy(model).cpu().eval()
    with torch.no_grad():
        if not torch.allclose(rebuilt(images), model(images), rtol=1e-5, atol=1e-6):
            raise ValueError("the model reads back with other outputs than it was saved with")


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies without gaps or shared memory, which safetensors refuses."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }


def _facts(tensors: Mapping[str, Tensor]) -> dict[str, TensorFacts]:
    return {
        name: TensorFacts(shape=list(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }
