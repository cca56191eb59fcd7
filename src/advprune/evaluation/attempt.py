"""One attack on one model, over any rows of a sample."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from advprune.attacks import Attack
from advprune.evaluation.ledger import Ledger
from advprune.evaluation.sample import Sample
from advprune.models.logits import logits_of
from advprune.models.refusals import taking


@dataclass(frozen=True, eq=False)
class Target:
    """The model on trial and the examples it is tried on.

    Attributes:
        model: The model, in evaluation mode.
        sample: The examples.
        batch_size: Images a batch, of attacks and classification.
        seed: Seed of all noise.
        ledger: Where finished batches are kept and looked up; None keeps none.
        wanted: The class that the attacker asks for, of each example, (examples,); None where any
            wrong one will do.
    """

    model: nn.Module
    sample: Sample
    batch_size: int
    seed: int
    ledger: Ledger | None = None
    wanted: Tensor | None = None

    def rows(self) -> Tensor:
        """All rows of the sample, (examples,)."""
        return torch.arange(len(self.sample))

    def first_batch(self) -> tuple[Tensor, Tensor]:
        """The sample's first images and classes, where the model is."""
        x, y = (part[: self.batch_size] for part in (self.sample.x, self.sample.y))
        return x.to(device_of(self.model)), y.to(device_of(self.model))

    def right(self, x: Tensor, rows: Tensor) -> Tensor:
        """Which of these images, standing for those rows of the sample, the model gets right.

        Where a class is wanted, right is whatever answer is another than that.
        """
        answers = self.logits(x).argmax(1) if len(x) else rows[:0]
        if self.wanted is None:
            return answers == self.sample.y[rows]
        return answers != self.wanted[rows]

    def logits(self, x: Tensor) -> Tensor:
        """What the model answers to these images, at least one, (images, classes)."""
        device = device_of(self.model)
        with taking("the model", x, "the data"), torch.no_grad():
            answers = [
                logits_of(self.model, part.to(device)).cpu() for part in _parts(x, self.batch_size)
            ]
        return torch.cat(answers)


@dataclass(frozen=True, eq=False)
class Attempt:
    """What one attack did.

    Attributes:
        rows: Rows of the sample that it met, (rows,).
        right: Which of them the model on trial still gets right (see `Target.right`), (rows,) bool.
        right_as_png: The same, those that it gets wrong being rounded to 8 bits a pixel first, as a
            PNG file keeps them, (rows,) bool.
        fooled: How many of them the attack itself says to have fooled the attacked network.
        forward_passes: Images sent forward.
        backward_passes: Images whose gradient was taken.
        loss_per_step: Mean of their losses at each step of the first restart, (steps,).
        seconds: Time it took.
        distances: Norm of the smallest perturbation found of each, None where none was; None for
            attacks that do not seek it.
        notes: What the attack had to do otherwise than told.
    """

    rows: Tensor
    right: Tensor
    right_as_png: Tensor
    fooled: int
    forward_passes: int
    backward_passes: int
    loss_per_step: Tensor
    seconds: float
    distances: tuple[float | None, ...] | None = None
    notes: tuple[str, ...] = ()

    def survive_png(self, before: Tensor) -> float | None:
        """Share of the images that broke examples right before which still do as PNG files."""
        broke = before[self.rows] & ~self.right
        return (~self.right_as_png[broke]).float().mean().item() if broke.any() else None

    def right_in(self, before: Tensor) -> Tensor:
        """Which examples of the sample stay right of those that were before, (examples,) bool."""
        return before.scatter(0, self.rows, before[self.rows] & self.right)


def attempt(target: Target, name: str, attack: Attack, network: nn.Module, rows: Tensor) -> Attempt:
    """Attack a network on some rows of the sample, packed into full batches.

    Args:
        target: The model on trial and its sample.
        name: The attack's name, shown in the progress line; its noise depends on it.
        attack: The attack.
        network: Whose gradients are used: the model itself, or for transfer another.
        rows: Rows of the sample, (rows,).

    Returns:
        What the model on trial makes of the stored images, and what the attack cost.
    """
    start = time.perf_counter()
    device = device_of(network)
    generator = torch.Generator(device).manual_seed(_seed(target.seed, name))
    attacked = torch.empty_like(target.sample.x[rows])
    fooled = forward = backward = done = 0
    losses = torch.zeros(1)
    distances: list[float | None] = []
    notes: dict[str, None] = {}
    with _progress(name, len(rows)) as advance:
        for number, part in enumerate(_parts(rows, target.batch_size)):
            x, y = target.sample.x[part].to(device), target.sample.y[part].to(device)
            wanted = None if target.wanted is None else target.wanted[part].to(device)
            run = partial(attack.run, network, x, y, target=wanted, generator=generator)
            found = (
                target.ledger.run(name, number, part, generator, run) if target.ledger else run()
            )
            attacked[done : done + len(part)] = found.x_adv.cpu()
            done += len(part)
            fooled += int(found.fooled.sum())
            forward += found.forward_passes
            backward += found.backward_passes
            losses = losses + found.loss_per_step.cpu() * len(part) / len(rows)
            if found.distance is not None:
                distances += [far if far < math.inf else None for far in found.distance.tolist()]
            notes |= dict.fromkeys(found.notes)
            advance(len(part))
    right = target.right(attacked, rows)
    right_as_png, wrong = right.clone(), ~right  # what does not fool stands for itself
    right_as_png[wrong] = target.right((attacked[wrong] * 255).round() / 255, rows[wrong])
    return Attempt(
        rows,
        right,
        right_as_png,
        fooled,
        forward,
        backward,
        losses,
        time.perf_counter() - start,
        tuple(distances) or None,
        tuple(notes),
    )


def device_of(model: nn.Module) -> torch.device:
    """Where a model's tensors are; the CPU for one without any."""
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _parts(tensor: Tensor, size: int) -> Iterator[Tensor]:
    return (tensor[start : start + size] for start in range(0, len(tensor), size))


def _seed(seed: int, name: str) -> int:
    """A seed of its own for each attack, so that two attacks do not start from the same noise."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


@contextmanager
def _progress(name: str, examples: int) -> Iterator[Callable[[int], None]]:
    """A line with the time left, on a terminal only; gives the function that moves it on."""
    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(name, total=examples)
        yield lambda count: progress.advance(task, count)
