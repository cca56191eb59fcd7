"""The text beside a saved model's weights: what it is, what it takes, what it is worth."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FORMAT = 2
"""Version of the folder's format; a reader refuses what is newer than itself."""

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
GRAPH = "graph.json"


COUNTED = r"^([\w.]+\.)?(groups|num_groups|num_channels|num_features)$"
"""Attributes that a manifest may set, for it may come from anybody."""


class Architecture(BaseModel):
    """How to build the network anew, before its tensors get their saved shapes."""

    model_config = ConfigDict(extra="forbid")

    name: str
    arguments: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    """What pruning left of each group, for whoever reads; it is the shapes that rebuild."""
    selected: dict[str, list[int]] = {}
    """Linear layers that read only some of the inputs that arrive, and which."""
    input_gates: dict[str, list[Literal[1, -1]]] = {}
    """Along which dimension each gate in front of a layer acts, by the layer's name."""
    counts: dict[Annotated[str, Field(pattern=COUNTED)], Annotated[int, Field(ge=1)]] = {}
    """Attributes of layers that count what was cut, such as a convolution's groups."""

    def plain(self) -> dict[str, Any]:
        """As a model carries it: what pruning left only where there is any."""
        extra = self.model_dump(include={"kept", "selected", "input_gates", "counts"})
        return self.model_dump(include={"name", "arguments"}) | {
            key: value for key, value in extra.items() if value
        }


class TensorFacts(BaseModel):
    """Shape and precision of one saved tensor."""

    model_config = ConfigDict(extra="forbid")

    shape: list[int]
    dtype: str


class File(BaseModel):
    """One file of the folder and what it must contain."""

    model_config = ConfigDict(extra="forbid")

    name: str
    sha256: str


class Manifest(BaseModel):
    """Contents of `manifest.json`; keys beyond these are kept as they are.

    At least one of architecture and graph says how the network is built.
    """

    model_config = ConfigDict(extra="allow")

    format: int = FORMAT
    architecture: Architecture | None = None
    graph: File | None = None
    """The network as steps over known operators, for whoever has not its class."""
    kept: dict[str, list[int]] = {}
    """Units that pruning left of each group, by their numbers in the unpruned network."""
    weights: File
    tensors: dict[str, TensorFacts]
    input_shape: list[int] | None = None
    """(channels, height, width) of one image."""
    input_range: tuple[float, float] = (0.0, 1.0)
    classes: list[str] = []
    threat: dict[str, Any] | None = None
    results: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.architecture is None and self.graph is None:
            raise ValueError("neither architecture nor graph says how to build the network")
        return self


def read_manifest(folder: Path) -> Manifest:
    """Read and check a saved model's manifest.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If it is not there, damaged, or of a newer format.
    """
    path = inside(folder, MANIFEST)
    if not path.is_file():
        raise ValueError(f"{folder} holds no saved model: there is no {MANIFEST}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; get the model again") from error
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(
            f"{path} has format {version}; this advprune reads up to {FORMAT}: install a newer one"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path} is no manifest: {error}") from error


def inside(folder: Path, name: str) -> Path:
    """A file of the folder, links followed.

    Raises:
        ValueError: If the name leads out of the folder.
    """
    root = folder.resolve()
    path = (root / name).resolve()
    if path.parent != root:
        raise ValueError(f"{folder}: {name!r} leads out of the model's folder, to {path}")
    return path


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def plain(key: str, value: Any) -> Any:
    """Metadata as JSON values: what has `to_dict` or is a dataclass becomes a dict.

    Raises:
        ValueError: If JSON cannot hold it.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}={value!r} does not fit in JSON: {error}") from error
