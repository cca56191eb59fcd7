"""Finished batches of an evaluation, on disk, so that it can go on where it was stopped."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from advprune.attacks import AttackResult
from advprune.files import write_bytes, write_text

FORMAT = 2
"""Of the files: since the second they say which examples the images stand for."""


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
        self._files: dict[str, list[str]] = {}
        task = {"format": FORMAT, **task}
        file, text = self.folder / "task.json", json.dumps(task, indent=2, sort_keys=True) + "\n"
        if not file.is_file():
            write_text(file, text)
        elif file.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{self.folder} holds batches of another evaluation ({file.name} says which): "
                "give another folder, or remove it"
            )

    def run(
        self,
        name: str,
        number: int,
        rows: Tensor,
        generator: torch.Generator,
        attack: Callable[[], AttackResult],
    ) -> AttackResult:
        """What the attack of that name finds in that batch, from disk where it is there.

        The batch consists of those rows of the sample. The generator is left as the attack leaves
        it.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        plain = "".join(letter if letter.isalnum() else "-" for letter in name)
        path = self.folder / f"{plain}-{digest}-{number:05}.safetensors"
        self._files.setdefault(name, []).append(path.name)
        if path.is_file():
            return _read(path, generator)
        found = attack()
        write_bytes(path, _packed(found, rows, generator))
        return found

    def contents(self, names: Iterable[str]) -> dict[str, Any]:
        """The folder, and of the attacks of those names each file with its SHA-256."""
        files = {
            name: {file: file_hash(self.folder / file) for file in self._files.get(name, [])}
            for name in names
        }
        return {"folder": str(self.folder), "files": files}


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_images(path: Path) -> tuple[Tensor, Tensor]:
    """Attacked images, (rows, channels, height, width), and rows of the sample, from such a file.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("x_adv"), file.get_tensor("rows")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _packed(found: AttackResult, rows: Tensor, generator: torch.Generator) -> bytes:
    tensors = {
        "rows": rows,
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
    del tensors["rows"]
    generator.set_state(tensors.pop("generator"))
    return AttackResult(
        **tensors,
        forward_passes=counts["forward_passes"],
        backward_passes=counts["backward_passes"],
        notes=tuple(counts["notes"]),
    )
