"""What a recipe may say: models that check every value before any work starts."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from advprune.choices import check_arguments, choose
from advprune.data import SOURCES
from advprune.evaluation.suites import find_suite
from advprune.models import MODELS
from advprune.threat import ThreatModel
from advprune.training.parts import GateSettings, Settings
from advprune.training.settings import Training


def _radius(value: Any) -> float:
    """Reads 0.3 or ``"8/255"`` as the threat model does."""
    return ThreatModel().at(value).eps


def _held_out(value: Any) -> int | float:
    """Leaves a count an int and a share a float: the data tell them apart by that."""
    count = type(value) is int and value >= 0
    if count or (type(value) is float and 0 <= value < 1):
        return value  # type: ignore[no-any-return]
    raise ValueError("allowed is a number of images or a share of them, in [0, 1)")


def _source(name: str) -> str:
    choose("data set", name.partition(":")[0], SOURCES)
    return name


def _model(name: str) -> str:
    if ":" not in name:
        choose("model", name, MODELS)
    return name


def _suite(name: str) -> str:
    find_suite(name)
    return name


Radius = Annotated[float, PlainValidator(_radius)]


class _Named(BaseModel):
    """Settings whose other keys go to whatever the name stands for, which checks them."""

    model_config = ConfigDict(extra="allow", frozen=True, validate_default=True)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys beyond those that the schema knows."""
        return dict(self.model_extra or {})


class DataSettings(_Named):
    """Where the images come from; other keys are options of that source.

    Attributes:
        name: A name in ``advprune.data.SOURCES``.
        path: Folder or file of the images; None for data that come along.
        validation: Images held out of the training ones: a count, or a share below 1.
    """

    name: Annotated[str, AfterValidator(_source)]
    path: str | None = None
    validation: Annotated[int | float, PlainValidator(_held_out)] = 0.1

    @model_validator(mode="after")
    def _options_of_the_source(self) -> Self:
        source, _, path = self.name.partition(":")
        given = {"path": self.path or path} if self.path or path else {}
        fields = type(self).model_fields
        check_arguments(f"{source!r}", SOURCES[source], given | self.arguments, besides=fields)
        return self


class ModelSettings(_Named):
    """The network; other keys are its arguments.

    Attributes:
        name: A name in ``advprune.models.MODELS``, or ``package.module:callable``.
        start_from: Saved model of the same shape (a folder or ``zoo:NAME``) whose weights it begins
            with; None begins with random ones.
        kept: Units of each group that the network has, by their numbers in the whole one, as the
            manifest of a cut network tells them; its first weights are random.
    """

    name: Annotated[str, AfterValidator(_model)]
    start_from: str | None = None
    kept: dict[str, tuple[int, ...]] = {}

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.start_from is not None and self.kept:
            raise ValueError("kept begins with random weights: give start_from or kept")
        return self

    @model_validator(mode="after")
    def _arguments_of_the_model(self) -> Self:
        if self.name in MODELS:  # others are imported when they are built
            fields = type(self).model_fields
            check_arguments(f"{self.name!r}", MODELS[self.name], self.arguments, besides=fields)
        return self


class ThreatSettings(Settings):
    """What is defended against, in the space of the pixels.

    Attributes:
        norm: Of the perturbation.
        eps: Its largest size: a number, or text such as ``"8/255"``.
    """

    norm: Literal["linf", "l2", "l1"] = "linf"
    eps: Radius = _radius("8/255")

    @model_validator(mode="after")
    def _can_attack(self) -> Self:
        self.build()
        return self

    def build(self) -> ThreatModel:
        """The threat model that these settings describe."""
        return ThreatModel(norm=self.norm, eps=self.eps)


class EvaluationSettings(Settings):
    """How the test images are attacked, before and after slimming.

    Attributes:
        suite: Name of a suite of attacks.
        sources: Saved models (folders or ``zoo:NAME``) to transfer attacks from.
        examples: Test images, drawn by the seed; None is all.
        curve: Radii of a curve of accuracy over eps; empty is no curve.
        autoattack: Test images, drawn by the seed, that AutoAttack's standard version attacks in
            what ships, beside the suite, which may be a cheaper one; None is none.
    """

    suite: Annotated[str, AfterValidator(_suite)] = "quick"
    sources: tuple[str, ...] = ()
    examples: Annotated[int, Field(ge=1)] | None = None
    curve: tuple[Radius, ...] = ()
    autoattack: Annotated[int, Field(ge=1)] | None = None


class Recipe(Settings):
    """A whole run, from data to report.

    Attributes:
        name: What the run is called in its files.
        description: One or two sentences for people.
        data: Where the images come from.
        model: The network.
        threat: What is defended against.
        gates: Where gates sit; None where no phase is gated.
        training: The phases and what they share.
        compress: Whether weights are shared and coded by Deep Compression once training is over:
            the network is judged with the values of that file, whose size is its size.
        evaluation: How the result is judged.
        seed: Of everything random in the run: held-out images, first weights, training, attacks.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    description: str = ""
    data: DataSettings
    model: ModelSettings
    threat: ThreatSettings = ThreatSettings()
    gates: GateSettings | None = None
    training: Training
    compress: bool = False
    evaluation: EvaluationSettings = EvaluationSettings()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _training_has_the_seed(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("training"), dict):
            return given
        seed = given.get("seed", 0)
        if type(seed) is not int or seed < 0:  # complained of where it stands
            return given
        if given["training"].get("seed", seed) != seed:
            raise ValueError("a recipe has one seed, at its top: set seed, not training.seed")
        return {**given, "training": {**given["training"], "seed": seed}}

    @model_validator(mode="after")
    def _gates_where_phases_need_them(self) -> Self:
        gated = [phase.name for phase in self.training.phases if phase.on == "gated"]
        if gated and self.gates is None:
            raise ValueError(
                f"phase {gated[0]!r} is gated: say under gates which family, such as"
                " gates: {family: beta_bernoulli}"
            )
        if self.gates is not None and not gated:
            raise ValueError("gates are given, yet no phase is gated; leave gates out")
        return self

    def resolved(self) -> dict[str, Any]:
        """Every value, defaults too, as plain data that gives the same recipe again."""
        return self.model_dump(mode="json", exclude={"training": {"seed"}})
