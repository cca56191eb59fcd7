"""Finished networks from elsewhere, as plain modules from images in [0, 1] to logits."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from advprune.extras import need
from advprune.models.logits import chosen
from advprune.models.parts import Normalize
from advprune.models.registry import build


class Normalized(nn.Module):
    """A network behind its normalisation; where it answers with a record, its logits.

    Attributes:
        normalize: of the pixels.
        network: as its makers built it.
    """

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (batch, classes) of images (batch, channels, height, width) in [0, 1]."""
        return chosen(self.network(self.normalize(x)))


def finished(source: str, *, model: str | None = None, trust_code: bool = False) -> nn.Module:
    """Returns a finished network, in eval mode.

    Args:
        source: `hf:NAME` (a folder or a name on Hugging Face's hub), `timm:NAME`,
            `robustbench:DATA/THREAT/NAME` such as `robustbench:cifar10/Linf/Standard`, or a
            checkpoint of one's own: a file of safetensors, or one of torch's, of which tensors
            alone are read (`torch.load(weights_only=True)`).
        model: what builds the network of such a file: a registered name, or `module:callable`.
        trust_code: whether `module:callable` may be imported, and RobustBench, which unpickles
            what it fetches, be used.

    Raises:
        ValueError: a package or file is missing, the tensors are not the model's, or code would
            have to be trusted.
    """
    kind, colon, name = source.partition(":")
    if colon and kind in _SOURCES:
        return _SOURCES[kind](name, trust_code).eval()
    if model is None:
        others = ", ".join(f"{kind}:NAME" for kind in _SOURCES)
        raise ValueError(
            f"{source}: say by --model what builds its network (a registered name, or "
            f"module:callable); allowed without are {others}"
        )
    if ":" in model and not trust_code:
        raise ValueError(f"{model!r} is code that would be run: if you trust it, add --trust-code")
    network = build(model)
    _fill(network, _tensors(Path(source)), source)
    return network.eval()


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is no file of tensors alone: {error}") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"{path} holds no tensors by name")
    return dict(content)


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    named = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    try:
        network.load_state_dict(named)
    except RuntimeError as error:
        raise ValueError(f"{source} is no checkpoint of this model: {error}") from error


def _hugging_face(name: str, _trust_code: bool) -> nn.Module:
    transformers = need("transformers")
    network = transformers.AutoModelForImageClassification.from_pretrained(
        name, use_safetensors=True
    )
    facts, _ = transformers.ImageProcessingMixin.get_image_processor_dict(name)
    return Normalized(network, *_statistics(facts.get("image_mean"), facts.get("image_std")))


def _timm(name: str, _trust_code: bool) -> nn.Module:
    network = need("timm").create_model(name, pretrained=True)
    facts = network.pretrained_cfg
    return Normalized(network, *_statistics(facts.get("mean"), facts.get("std")))


def _robustbench(name: str, trust_code: bool) -> nn.Module:
    data, _, rest = name.partition("/")
    threat, _, model = rest.partition("/")
    if not model:
        raise ValueError(f"robustbench:{name}: it is robustbench:DATA/THREAT/NAME")
    if not trust_code:
        raise ValueError("RobustBench unpickles what it fetches: if you trust it, add --trust-code")
    load: Callable[..., nn.Module] = need("robustbench.utils").load_model
    return load(model_name=model, dataset=data, threat_model=threat)


def _statistics(mean: Any, std: Any) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel; images that are not normalised have 0 and 1."""
    return list(mean or (0.0, 0.0, 0.0)), list(std or (1.0, 1.0, 1.0))


_SOURCES: dict[str, Callable[[str, bool], nn.Module]] = {
    "hf": _hugging_face,
    "timm": _timm,
    "robustbench": _robustbench,
}
