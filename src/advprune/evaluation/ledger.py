"""Finished batches of an evaluation, on disk, so that it can go on where it was stopped."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from advprune.attacks import AttackResult
from advprune.files import write_bytes, write_text


class Ledger:
    """A folder with a file for each batch of each attack: its images, verdicts and costs.

    Args:
        folder: made where it lacks.
        task: what makes two evaluations the same, as plain JSON values.

    Raises:
        ValueError: If the folder belongs to another task.
    """

    def __init__(self, folder: str | Path, task: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        file, text = self.folder / "task.json", json.dumps(task, indent=2, sort_keys=True) + "\n"
        if not file.is_file():
            write_text(file, text)
        elif file.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{self.folder} holds batches of another evaluation ({file.name} says which): "
                "give another folder, or remove it"
            )

    def run(
        self, name: str, number: int, generator: torch.Generator, attack: Callable[[], AttackResult]
    ) -> AttackResult:
        """What the attack of that name finds in that batch, from disk where it is there.

        The generator is left as the attack leaves it.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        plain = "".join(letter if letter.isalnum() else "-" for letter in name)
        path = self.folder / f"{plain}-{digest}-{number:05}.safetensors"
        if path.is_file():
            return _read(path, generator)
        found = attack()
        write_bytes(path, _packed(found, generator))
        return found


def _packed(found: AttackResult, generator: torch.Generator) -> bytes:
    tensors = {
        "x_adv": found.x_adv,
        "fooled": found.fooled,
        "loss_per_step": found.loss_per_step,
        "generator": generator.get_state(),
    }
    if found.distance is not None:
        tensors["distance"] = found.distance
    counts = {
        "forward_passes": found.forward_passes,
        "backward_passes": found.backward_passes,
        "notes": found.notes,
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, {"counts": json.dumps(counts)})


def _read(path: Path, generator: torch.Generator) -> AttackResult:
    with safe_open(path, framework="pt") as file:
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        counts = json.loads(file.metadata()["counts"])
    generator.set_state(tensors.pop("generator"))
    return AttackResult(
        **tensors,
        forward_passes=counts["forward_passes"],
        backward_passes=counts["backward_passes"],
        notes=tuple(counts["notes"]),
    )
