"""Attacks that belong together, since they allow the attacker the same."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from advprune.evaluation.attempt import Attempt
from advprune.evaluation.trial import Trial

if TYPE_CHECKING:
    from advprune.evaluation.result import AttackFigure


@dataclass(frozen=True)
class Family:
    """What the attacks of one family left.

    Attributes:
        name: What they allow the attacker, in words.
        own: Whether it is the suite's own threat.
        attacks: Their names.
        worst_case: Share of the examples right before and after each of them.
        mean: Mean of the accuracies that they left, where each met every example; else None.
        weakest: The attack that left least.
    """

    name: str
    own: bool
    attacks: tuple[str, ...]
    worst_case: float
    mean: float | None
    weakest: str

    @property
    def accuracy(self) -> float:
        """The mean where there is one, as for corruptions that nobody chooses; else the worst."""
        return self.worst_case if self.mean is None else self.mean


def families(
    own: str,
    trials: Mapping[str, Trial],
    attempts: Mapping[str, Attempt],
    left: Mapping[str, Tensor],
) -> Iterator[Family]:
    """What was left of each family, where there is more than one.

    Args:
        own: What the suite's own threat is called.
        trials: The attacks by name.
        attempts: What each did.
        left: Which examples each family left right, (examples,) bool.
    """
    for family, survivors in left.items() if len(left) > 1 else ():
        names = tuple(name for name, trial in trials.items() if trial.family == family)
        accuracies = {name: attempts[name].right.sum().item() / len(survivors) for name in names}
        alone = all(trials[name].alone for name in names)
        yield Family(
            name=family or own,
            own=not family,
            attacks=names,
            worst_case=survivors.float().mean().item(),
            mean=sum(accuracies.values()) / len(names) if alone else None,
            weakest=min(accuracies, key=accuracies.__getitem__),
        )


def family_rows(
    found: Iterable[Family], attacks: Mapping[str, "AttackFigure"]
) -> Iterator[list[tuple[str, float, str]]]:
    """Each family's rows of a table: name, accuracy and meaning, its own first."""
    for family in found:
        own = "each example's worst case"
        if family.mean is not None and len(family.attacks) > 1:
            own = f"mean of {len(family.attacks)}; {100 * family.worst_case:.2f} right after all"
        rows = [(family.name, family.accuracy, own)]
        by_kind: dict[object, list[float]] = {}
        for name in family.attacks:
            kind = attacks[name].budget.get("kind")
            if kind is None:
                rows.append((f"  {name}", attacks[name].accuracy, _met(attacks[name])))
            else:
                by_kind.setdefault(kind, []).append(attacks[name].accuracy)
        for kind, accuracies in by_kind.items():
            told = " ".join(f"{100 * accuracy:.0f}" for accuracy in accuracies)
            mean = sum(accuracies) / len(accuracies)
            rows.append((f"  {kind}", mean, f"severities 1 to {len(accuracies)}: {told}"))
        yield rows


def _met(figure: "AttackFigure") -> str:
    return "every example" if figure.alone else "on the family's survivors so far"


def right_after_all(left: Mapping[str, Tensor]) -> Tensor:
    """Which examples no family broke, (examples,) bool."""
    return torch.stack(list(left.values())).all(0)
