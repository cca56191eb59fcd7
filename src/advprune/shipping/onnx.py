"""ONNX files."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from advprune.shipping.extras import need, quiet

OPSET = 20
INPUT, OUTPUT = "images", "logits"

LARGEST = 2**31 - 2**20
"""Bytes of weights that one file holds, by its format; beyond, they go to `NAME.onnx.data`."""


def write(exported: ExportedProgram, path: Path, metadata: dict[str, Any]) -> None:
    """Write an ONNX file of opset 20 for any batch size, with metadata as its properties.

    Args:
        exported: What `program` gave.
        path: The file.
        metadata: Properties by name; each is stored as JSON under "advprune.NAME".

    Raises:
        ValueError: If onnx or onnxscript is missing, or an operator has no counterpart.
    """
    need("onnxscript")
    # The strides of torch's fused attention are not those that the exporter assumes.
    with quiet(), sdpa_kernel(SDPBackend.MATH):
        try:
            found = torch.onnx.export(
                exported,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ValueError(f"this network has no ONNX form: {error}") from error
    assert found is not None
    _describe(found.model, metadata)
    found.save(path, external_data=_bytes(exported) > LARGEST)


def read_metadata(path: Path) -> dict[str, Any]:
    """What `write` was told, from a file's properties."""
    properties = need("onnx").load(path, load_external_data=False).metadata_props
    prefix = "advprune."
    return {
        entry.key.removeprefix(prefix): json.loads(entry.value)
        for entry in properties
        if entry.key.startswith(prefix)
    }


def _describe(model: Any, metadata: dict[str, Any]) -> None:
    """Leave our metadata alone: the exporter's own give away the code and its folders."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for properties in (model.metadata_props, model.graph.metadata_props):
        properties.clear()
    model.metadata_props.update(
        {f"advprune.{key}": json.dumps(value) for key, value in metadata.items()}
    )


def _bytes(exported: ExportedProgram) -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*exported.state_dict.values(), *exported.constants.values())
    )
