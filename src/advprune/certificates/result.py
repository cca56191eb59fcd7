"""What certificates say about a data set, and what they rest on."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from advprune.certificates.verdict import Verdict
from advprune.evaluation import interval, write_json
from advprune.evaluation.result import as_text

SCHEMA = 1
"""Version of the JSON that `Certificates.to_dict` gives."""


@dataclass(frozen=True, eq=False)
class MethodFigure:
    """What one method certified.

    Attributes:
        verdicts: of each example, in order.
        settings: of the method.
        seconds: time it took.
    """

    verdicts: tuple[Verdict, ...]
    settings: dict[str, Any]
    seconds: float

    @property
    def certified(self) -> float:
        """Share of the examples that are right, and certified to stay so."""
        return self.counts()[Verdict.CERTIFIED] / len(self.verdicts)

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval (Clopper and Pearson) of that share in the data's population."""
        return interval(self.counts()[Verdict.CERTIFIED], len(self.verdicts))

    def counts(self) -> dict[Verdict, int]:
        """How many examples each verdict was given."""
        counted = Counter(self.verdicts)
        return {verdict: counted[verdict] for verdict in Verdict}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "certified": self.certified,
            "certified_interval": list(self.interval),
            "counts": {str(verdict): count for verdict, count in self.counts().items()},
            "verdicts": [str(verdict) for verdict in self.verdicts],
            "settings": self.settings,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False)
class Upper:
    """What a suite of attacks left of the same examples.

    Attributes:
        suite: name of the suite.
        robust: share of the examples right after all attacks.
        robust_interval: its exact 95 % interval.
    """

    suite: str
    robust: float
    robust_interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Certificates:
    """Lower bounds on the accuracy that any attack leaves, beside an upper one.

    Attributes:
        clean: share of the examples that are right as they are.
        clean_interval: its exact 95 % interval.
        attacked: the upper bound; None where nothing was attacked.
        methods: what each method certified, by name.
        threat: norm, radius and bounds.
        seed: of the subset, the attacks and all samples.
        indices: where each example stands in the data set; None for all of it.
        examples: examples judged.
        data_examples: examples in the data set.
        data_hash: SHA-256 of the judged images and labels.
        model_hash: SHA-256 of the model's parameters and buffers.
        environment: versions, processor, threads, commit.
        seconds: time of all.
    """

    clean: float
    clean_interval: tuple[float, float]
    attacked: Upper | None
    methods: dict[str, MethodFigure]
    threat: dict[str, Any]
    seed: int
    indices: list[int] | None
    examples: int
    data_examples: int
    data_hash: str
    model_hash: str
    environment: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        content = {name: value for name, value in vars(self).items() if name != "methods"}
        content["attacked"] = None if self.attacked is None else asdict(self.attacked)
        content["methods"] = {name: figure.to_dict() for name, figure in self.methods.items()}
        return {"schema": SCHEMA, **content}

    def to_json(self, path: str | Path) -> Path:
        """Write everything to a JSON file, whole or not at all."""
        return write_json(path, self.to_dict())

    def __str__(self) -> str:
        return as_text(self, width=100)

    def __rich__(self) -> Table:
        """The table that a terminal shows."""
        threat = f"{self.threat['norm']} eps {self.threat['eps']:.4g}"
        table = Table(title=f"certificates, {threat}, {self.examples} examples, seed {self.seed}")
        table.add_column("")
        for heading in ("accuracy %", "95 % interval", "seconds"):
            table.add_column(heading, justify="right")
        table.add_column("meaning")
        table.add_row("clean", *_shares(self.clean, self.clean_interval), "", "")
        if self.attacked is not None:
            upper = self.attacked
            cells = _shares(upper.robust, upper.robust_interval)
            table.add_row(f"attacks: {upper.suite}", *cells, "", "no more than this")
        for name, figure in self.methods.items():
            cells = _shares(figure.certified, figure.interval)
            table.add_row(name, *cells, f"{figure.seconds:.1f}", _meaning(figure))
        return table


def _meaning(figure: MethodFigure) -> str:
    counts = figure.counts()
    text = f"no less than this; {counts[Verdict.UNDECIDED]} undecided"
    shown = counts[Verdict.COUNTEREXAMPLE]
    return f"{text}, {shown} counterexamples" if shown else text


def _shares(share: float, ends: tuple[float, float]) -> tuple[str, str]:
    low, high = (100 * end for end in ends)
    return f"{100 * share:.2f}", f"{low:.2f} to {high:.2f}"
