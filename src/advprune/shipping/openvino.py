"""OpenVINO's intermediate representation: `NAME.xml` with its weights in `NAME.bin`."""

import json
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from advprune.shipping.extras import need, quiet
from advprune.shipping.onnx import INPUT, OUTPUT


def write(exported: ExportedProgram, path: Path, metadata: dict[str, Any]) -> None:
    """Write an IR in float32 for any batch size, with metadata as its `rt_info`.

    Args:
        exported: What `program` gave.
        path: The `.xml` file; the weights go beside it.
        metadata: Stored as JSON under "advprune".

    Raises:
        ValueError: If openvino is missing, or an operator has no counterpart.
    """
    openvino = need("openvino")
    with quiet():
        try:
            model = openvino.convert_model(exported)
        except Exception as error:
            raise ValueError(f"this network has no OpenVINO form: {error}") from error
    (images,), (logits,) = model.inputs, model.outputs
    images.get_tensor().set_names({INPUT})
    logits.get_tensor().set_names({OUTPUT})
    shape = _shape(exported)
    model.reshape({images: [-1, *shape]})
    model.set_rt_info(json.dumps(metadata), "advprune")
    openvino.save_model(model, path, compress_to_fp16=False)


def read_metadata(path: Path) -> dict[str, Any]:
    """What `write` was told."""
    model = need("openvino").Core().read_model(path)
    if not model.has_rt_info("advprune"):
        return {}
    found: dict[str, Any] = json.loads(model.get_rt_info("advprune").astype(str))
    return found


def _shape(exported: ExportedProgram) -> list[int]:
    (name,) = exported.graph_signature.user_inputs
    node = next(node for node in exported.graph.nodes if node.name == name)
    return [int(size) for size in node.meta["val"].shape[1:]]
