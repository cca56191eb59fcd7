"""ExecuTorch programs: `.pte`, run on phones and small boards."""

from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from advprune.shipping.extras import need, quiet

LARGEST_BATCH = 32
"""Memory is planned for as many images."""


def write(exported: ExportedProgram, path: Path, metadata: dict[str, Any]) -> None:  # noqa: ARG001
    """Write a program whose operators go to XNNPACK wherever it has them.

    Args:
        exported: What `program` gave.
        path: The file.
        metadata: The format has no place for it, so that it is left out.

    Raises:
        ValueError: If executorch is missing, or an operator has no counterpart.
    """
    exir = need("executorch.exir")
    xnnpack = need("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    with quiet():
        try:
            lowered = exir.to_edge_transform_and_lower(
                exported, partitioner=[xnnpack.XnnpackPartitioner()]
            )
            found = lowered.to_executorch()
        except Exception as error:
            raise ValueError(f"this network has no ExecuTorch form: {error}") from error
    path.write_bytes(found.buffer)
