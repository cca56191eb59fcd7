"""Packages that only some ways of using advprune need."""

import importlib
from types import ModuleType

EXTRAS = {
    "executorch": "executorch",
    "huggingface_hub": "huggingface",
    "nncf": "openvino",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "optuna": "sweep",
    "pytorch_lightning": "lightning",
    "timm": "timm",
    "transformers": "huggingface",
}
"""Which extra of advprune brings a package, where one does."""


def need(module: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        ValueError: If the package is missing or does not work here; names the extra to install.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        wanted = f"'advprune[{EXTRAS[package]}]'" if package in EXTRAS else package
        raise ValueError(
            f"this needs {package}, which cannot be imported ({error}): pip install {wanted}"
        ) from error
