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

from advprune.models import MODELS
from advprune.shipping.manifest import (
    GRAPH,
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
from advprune.shipping.rebuild import from_graph, rebuild
from advprune.shipping.zoo import locate
from advprune.structure import GraphNetwork, UnsupportedModelError, graph_network

_OWN_KEYS = {"format", "architecture", "graph", "kept", "weights", "tensors"}


def save(model: nn.Module, folder: str | Path, **metadata: Any) -> Path:
    """Write a model to a folder that any process can load, without pickle and without its code.

    The folder holds `manifest.json` (architecture, shapes, hashes, metadata), `model.safetensors`
    and, where the class is not one of advprune's own, `graph.json`: the steps that the network
    takes, over known operators. It appears whole, after it was read back and found equal; a saved
    model that stood there before is replaced.

    Args:
        model: Any network: built by `models.build`, of a user's own class, or slimmed from either.
        folder: Where to write; a folder with anything but a saved model in it is refused.
        metadata: `input_shape` (channels, height, width), which is needed for the graph of a model
            that did not come from `slim`; `input_range`, `classes`, `threat`, `results`, and any
            other key with a value that JSON holds.

    Returns:
        The folder.

    Raises:
        ValueError: If the model cannot be rebuilt, the folder is not ours, or metadata does not
            fit.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    if reserved := metadata.keys() & _OWN_KEYS:
        raise ValueError(f"metadata {sorted(reserved)}: these keys are the manifest's own")
    facts = {**_slimmed(model), **{key: plain(key, value) for key, value in metadata.items()}}
    architecture = _architecture(model)
    network = _as_graph(model, architecture, facts.get("input_shape"))
    state = _tensors(model if network is None else network)
    weights = safetensors.torch.save(state)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        draft = Path(temporary) / "new"
        draft.mkdir()
        manifest = Manifest(
            architecture=architecture,
            graph=None if network is None else _write(draft, GRAPH, _graph_text(network)),
            weights=_write(draft, WEIGHTS, weights),
            tensors=_facts(state),
            **facts,
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _check_equal(model, _loaded(draft, manifest), manifest.input_shape)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        draft.rename(folder)
    return folder


def load(source: str | Path, *, trust_code: bool = False) -> nn.Module:
    """Read a saved model, without pickle and without running anything it brings along.

    It has the class it was saved with where that is one of advprune's own, or where its code is
    trusted; else it is a `GraphNetwork`: it trains, copies, is cut and exported like any other.

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
    if manifest.graph is None and _is_foreign(manifest.architecture) and not trust_code:
        name = manifest.architecture.name if manifest.architecture else ""
        raise ValueError(
            f"{folder} needs the code {name!r}; "
            "if you trust it, load with trust_code=True (--trust-code on the command line)"
        )
    return _loaded(folder, manifest, trust_code=trust_code)


def _loaded(folder: Path, manifest: Manifest, *, trust_code: bool = False) -> nn.Module:
    tensors = _read_weights(folder, manifest)
    own = manifest.architecture
    if own is not None and manifest.graph is None:
        return rebuild(own, tensors)
    assert manifest.graph is not None
    name = str(folder / manifest.graph.name)
    network = from_graph(_read(folder, manifest.graph), tensors, name)
    return rebuild(own, network.state_dict()) if own is not None and trust_code else network


def _read(folder: Path, file: File) -> bytes:
    path = inside(folder, file.name)
    if not path.is_file():
        raise ValueError(f"{path} is missing; get the model again")
    content = path.read_bytes()
    if (found := sha256(content)) != file.sha256:
        raise ValueError(
            f"{path} is damaged or was changed: its SHA-256 is {found}, the manifest says "
            f"{file.sha256}; get the model again"
        )
    return content


def _write(folder: Path, name: str, content: bytes) -> File:
    (folder / name).write_bytes(content)
    return File(name=name, sha256=sha256(content))


def _read_weights(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    path = folder / manifest.weights.name
    content = _read(folder, manifest.weights)
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    if _facts(tensors) != manifest.tensors:
        raise ValueError(f"{path} does not hold the tensors that the manifest lists")
    return tensors


def _architecture(model: nn.Module) -> Architecture | None:
    described = getattr(model, "architecture", None)
    if isinstance(model, GraphNetwork) or not isinstance(described, Mapping):
        return None
    return Architecture.model_validate(plain("architecture", dict(described)))


def _is_foreign(architecture: Architecture | None) -> bool:
    return architecture is None or architecture.name not in MODELS


def _as_graph(
    model: nn.Module, architecture: Architecture | None, input_shape: list[int] | None
) -> GraphNetwork | None:
    """The graph of a model that could not be rebuilt elsewhere; None where a name will do."""
    if isinstance(model, GraphNetwork) or not _is_foreign(architecture):
        return model if isinstance(model, GraphNetwork) else None
    if input_shape is None and architecture is None:
        raise ValueError(
            f"{type(model).__name__} is no class of advprune's own, so that its graph is saved: "
            "give input_shape=(channels, height, width)"
        )
    try:
        if input_shape is not None:
            return graph_network(copy.deepcopy(model).cpu(), torch.zeros(1, *input_shape))
    except UnsupportedModelError as error:
        if architecture is None:
            raise ValueError(f"{type(model).__name__} cannot be saved: {error}") from error
    return None  # whoever loads it needs its code


def _slimmed(model: nn.Module) -> dict[str, Any]:
    """What `slim` noted: the units it kept and the shape of its images."""
    noted = getattr(model, "slimmed", None)
    return plain("slimmed", noted) if isinstance(noted, dict) else {}


def _graph_text(network: GraphNetwork) -> bytes:
    return network.graph_program.model_dump_json(exclude_defaults=True).encode()


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= {
        MANIFEST,
        WEIGHTS,
        GRAPH,
    }:
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
    """Copies without gaps or shared memory, which safetensors refuses; of a graph, all it holds."""
    held = model.state_dict()
    if isinstance(model, GraphNetwork):
        tied = model.graph_program.tensors
        held = {name: value for name, value in model.held().items() if not tied[name].same_as}
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in held.items()
    }


def _facts(tensors: Mapping[str, Tensor]) -> dict[str, TensorFacts]:
    return {
        name: TensorFacts(shape=list(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }
