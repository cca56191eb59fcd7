"""A network as one exported program for any batch size, and its one-way file, `.pt2`."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from advprune.shipping.extras import quiet
from advprune.shipping.selection import fold_selections
from advprune.structure.errors import cannot_export


def program(
    model: nn.Module, example_input: Tensor, largest_batch: int | None = None
) -> ExportedProgram:
    """Export a network in evaluation mode, without the places in the code that built it.

    Selections of inputs that take longer than they save are folded into the weights.

    Args:
        model: Any module of one batch of images to logits; it is left as it was.
        example_input: (batch, channels, height, width), any batch size.
        largest_batch: For a runtime that plans its memory ahead; None is no bound.

    Raises:
        ValueError: If `torch.export` refuses the model, or only takes it at one batch size.
    """
    # Files keep the example, so that it is no image; a batch of one would be taken for a constant.
    example = torch.zeros(largest_batch or 2, *example_input.shape[1:])
    batch = {0: torch.export.Dim("batch", min=1, max=largest_batch)}
    with quiet():
        try:
            found = torch.export.export(
                copy.deepcopy(model).cpu().eval(), (example,), dynamic_shapes=(batch,)
            )
        except Exception as error:
            raise cannot_export(model, example.shape[1:], error) from error
    for node in found.graph.nodes:
        node.meta.pop("stack_trace", None)
    fold_selections(found)
    return found


def write(exported: ExportedProgram, path: Path, metadata: dict[str, Any]) -> None:
    """Write a `.pt2` file, which `torch.export.load` runs without advprune.

    One way only: loading such a file may run code that it brings along, so that advprune never
    loads one.
    """
    extra = {"advprune.json": json.dumps(metadata)}
    torch.export.save(exported, path, extra_files=extra)
