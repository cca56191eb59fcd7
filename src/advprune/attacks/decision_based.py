"""Attacks that see the answered class alone, by foolbox."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from advprune.attacks.base import Attack, Found
from advprune.attacks.row_noise import RowNoise
from advprune.attacks.victim import Victim
from advprune.choices import check_arguments, check_count, choose
from advprune.threat import ThreatModel

METHODS = {
    "hop_skip_jump": ("HopSkipJumpAttack", ("linf", "l2")),
    "boundary": ("BoundaryAttack", ("l2",)),
}
"""Name → foolbox's class, and the norms that it makes small."""

DRAWS = 50
"""Random images tried as a start before an example is given up."""


class DecisionBased(Attack):
    """Walks along the model's decision boundary towards the image, seeing answered classes only.

    It starts from the nearest image of a pool that the model answers as the attacker likes, or
    from noise, and makes the distance small. Every query is noted: the search ends when one within
    the threat fools, or when the queries are spent; the nearest image that fooled is what it found.
    foolbox couples the examples of a batch (its directions are normalised over all of them), so
    each goes alone: meant for some hundred images.

    Source: Chen, Jordan & Wainwright, "HopSkipJumpAttack" (2020); Brendel, Rauber & Bethge,
    "Decision-based adversarial attacks" (2018); both as foolbox has them.

    Args:
        threat: what the attacker may do; pixels in [0, 1].
        method: "hop_skip_jump" (linf, l2) or "boundary" (l2).
        queries: images that the model is asked, at most, for one example; 10,000 and more are
            usual for HopSkipJump.
        stop_when_fooled: whether an example is done as soon as an image within the threat fools;
            otherwise the queries are spent on making the perturbation small.
        pool: images to start from, (n, channels, height, width); None takes the attacked batch.
        settings: what foolbox's class takes besides, such as `initial_gradient_eval_steps`.

    Raises:
        ValueError: when a setting is impossible.
        ImportError: when foolbox is not installed; names the extra.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        method: str = "hop_skip_jump",
        queries: int = 10_000,
        stop_when_fooled: bool = True,
        pool: Tensor | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(threat, loss="margin", precision="float32")
        name, norms = choose("decision-based attack", method, METHODS)
        if threat.norm not in norms:
            raise ValueError(f"norm={threat.norm!r} for {method}; allowed are {', '.join(norms)}")
        if threat.bounds != (0.0, 1.0):
            raise ValueError(f"bounds={threat.bounds}; allowed are (0, 1), as foolbox has them")
        check_count("queries", queries)
        if pool is not None:
            threat.check_images(pool)
        if method == "hop_skip_jump":
            settings = {"constraint": threat.norm, "steps": queries, **settings}
        check_arguments(method, getattr(_foolbox("attacks"), name), settings)
        self._walk = getattr(_foolbox("attacks"), name)(**settings)
        self.method, self.queries, self.settings = method, queries, settings
        self.stop_when_fooled, self.pool = stop_when_fooled, pool

    def describe(self) -> dict[str, object]:
        """The attack's exact budget, ready for JSON."""
        return super().describe() | {
            "loss": None,
            "method": self.method,
            "queries": self.queries,
            "stop_when_fooled": self.stop_when_fooled,
            "pool": "the attacked ones" if self.pool is None else len(self.pool),
            "settings": self.settings,
        }

    def _search(self, victim: Victim, x: Tensor, generator: torch.Generator | None) -> Found:
        seeds = RowNoise(len(x), generator).seeds
        pool = x if self.pool is None else self.pool.to(x)
        answered = victim.logits(pool).argmax(1)
        found, distance = x.clone(), torch.full((len(x),), torch.inf)
        for row, seed in enumerate(seeds):
            oracle = _Oracle(self, victim, x, row)
            suits = (answered == victim.labels[row]) == victim.wanted
            # foolbox refuses a start, or fails, where answers are random or rounding changes them
            with suppress(_DoneError, AssertionError, ValueError), _seeded(seed):
                self._from(oracle, oracle.start(pool[suits]), victim.labels[row : row + 1])
            found[row], distance[row] = oracle.nearest, oracle.distance
        return Found(self.threat.project(found, x), None, torch.zeros(0), distance.to(x))

    def _from(self, oracle: "_Oracle", start: Tensor, label: Tensor) -> None:
        criteria = _foolbox("criteria")
        name = "TargetedMisclassification" if oracle.victim.wanted else "Misclassification"
        model = _foolbox("models").PyTorchModel(oracle, bounds=(0, 1), device=start.device)
        self._walk.run(model, oracle.x, getattr(criteria, name)(label), starting_points=start)


class _DoneError(Exception):
    """The search of an example has found what it looked for, or spent its queries."""


class _Oracle(nn.Module):
    """One example's model as foolbox sees it: only classes, each query noted."""

    def __init__(self, attack: DecisionBased, victim: Victim, x: Tensor, row: int) -> None:
        super().__init__()
        self.victim, self.threat, self.left = victim, attack.threat, attack.queries
        self.stops = attack.stop_when_fooled
        self.x, self.label = x[row : row + 1], victim.labels[row]
        self.nearest, self.distance = x[row], float("inf")
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """1 at the answered class and 0 elsewhere, (batch, classes)."""
        if self.left < len(x):
            raise _DoneError
        self.left -= len(x)
        logits = self.victim.logits(x)
        answers = logits.argmax(1)
        fooled = ((answers == self.label) == self.victim.wanted).nonzero().squeeze(1)
        for image in x[fooled]:
            self._note(image)
        return nn.functional.one_hot(answers, logits.shape[1]).to(x)

    def start(self, pool: Tensor) -> Tensor:
        """An image that fools: the nearest of the pool, or noise; (1, ...)."""
        self(self.x)
        if self.distance == 0:
            raise _DoneError
        if len(pool):
            distances = self.threat.distance(pool, self.x.expand_as(pool))
            return pool[distances.argmin()][None]
        for _ in range(DRAWS):
            self(torch.rand_like(self.x))
            if self.distance < float("inf"):
                return self.nearest[None]
        raise _DoneError

    def _note(self, image: Tensor) -> None:
        distance = float(self.threat.distance(image[None], self.x))
        if distance < self.distance:
            self.nearest, self.distance = image.clone(), distance
        if self.stops and self.distance <= self.threat.eps:
            raise _DoneError


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Foolbox draws from the global random state: seeded inside, and put back after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _foolbox(part: str) -> ModuleType:
    try:
        return import_module(f"foolbox.{part}")
    except ImportError as error:
        raise ImportError(
            'decision-based attacks come from foolbox: pip install "advprune[foolbox]"'
        ) from error
