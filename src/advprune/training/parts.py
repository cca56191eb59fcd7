"""What can be set about the parts of a phase: its attack, its gates, what makes it sparse.

Every value is checked where it is given; an unknown key is an error.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from advprune.bounds import BOUNDS
from advprune.choices import choose
from advprune.gates import FAMILIES, ROUND_TO, maker
from advprune.objectives import PENALTIES
from advprune.threat import read_length

Precision = Literal["float32", "bfloat16"]
Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def one_of(kind: str, table: Mapping[str, Any]) -> AfterValidator:
    """A check of a name in a table; its message names ``kind`` and what is allowed."""

    def known(name: str) -> str:
        choose(kind, name, table)
        return name

    return AfterValidator(known)


class Settings(BaseModel):
    """Values that are checked when they are given and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class AttackSettings(Settings):
    """The attack inside training: PGD without restarts, every example for all its steps.

    Attributes:
        steps: Gradient steps.
        step_size: In pixel units; ``"2/255"`` is accepted; None is ``2.5 * eps / steps``.
        precision: Of the attack's gradients.
        on: ``"expected"`` attacks the cut network that equals the expected gated one, as it
            would ship now; ``"sampled"`` the gated model with sampled gates. On a plain model
            there is no difference.
        loss: What the attack maximises, where the objective does not say it: TRADES and RSLAD
            maximise divergences.
        random_start: Whether it starts anywhere in the ball, or at the image itself: with one step
            of size eps from the image, it is FGSM.
        sources: Saved models that make the images in turn with the network itself, a step each, as
            in ensemble adversarial training (Tramer et al. 2018, arXiv 1705.07204).
        replays: Free AT (Shafahi et al. 2019, arXiv 1904.12843): each batch is trained on so many
            steps in a row, and the gradient of each step moves the perturbation by eps as well;
            steps and their size are not used. An epoch has as many steps as ever, so it visits
            one in ``replays`` of the images. None attacks each step anew.
    """

    steps: Count = 7
    step_size: (
        Annotated[float, Field(gt=0), BeforeValidator(partial(read_length, "step_size"))] | None
    ) = None
    precision: Precision = "float32"
    on: Literal["expected", "sampled"] = "expected"
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy"
    random_start: bool = True
    sources: tuple[str, ...] = ()
    replays: Count | None = None

    @model_validator(mode="after")
    def _replays_attack_the_network_itself(self) -> Self:
        if self.replays is not None and (self.sources or self.on == "sampled"):
            raise ValueError("replays move along the training gradient: no sources, on: expected")
        return self

    @property
    def single_step(self) -> bool:
        """Whether the images come from one gradient, which a network can learn to mislead."""
        return self.replays is not None or self.steps == 1


class GaussianSettings(Settings):
    """The Gaussian weights of gaussian phases.

    Attributes:
        family: ``"normal"``: all parameters, normal a priori; ``"log_uniform"``: the weights of
            convolutions and linear layers, log-uniform a priori, which makes them sparse.
        start: First rho of every weight; its deviation is ``softplus(rho)``. Of family
            ``log_uniform`` the first log variance.
        prior: Deviation of a normal prior.
        threshold: Of log alpha, above which a weight of family ``log_uniform`` is 0.
    """

    family: Literal["normal", "log_uniform"] = "normal"
    start: float = -3.0
    prior: Rate = 1.0
    threshold: float = 3.0


class Sparsity(Settings):
    """Weights that are 0; biases and batch norms stay whole.

    Attributes:
        share: Of the weights that are 0, the smallest by magnitude when the phase begins; they stay
            0 in this phase. Grow it over several phases to prune step by step.
        scope: ``"layer"`` takes the share of each layer, ``"global"`` ranks all weights together,
            ``"channel"`` takes whole channels, that share of each group, in a dense phase; a gated
            phase with criterion ``"magnitude"`` then cuts them.
        admm: rho of ADMM: weights are only drawn towards the share, anew each epoch, and cut when
            the phase ends. None cuts them when it begins.
        every: Steps between two projections onto the share, between which all weights train, as by
            the l0 regulariser of Collins & Kohli 2014 (arXiv 1412.1442); the last one is the cut.
        learned: Trains, in place of all parameters, what is cut: ``"scores"`` of the weights'
            importance, which are no more their magnitudes (HYDRA, Sehwag et al. 2020, arXiv
            2002.10509), or ``"rates"``, each layer's own share as well (HARP, Zhao & Wressnegger
            2023, arXiv 2311.01525). The phase after it trains what is left.
        pressure: By how much each epoch raises the weight of a network that is too large, with
            learned rates.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    scope: Literal["layer", "global", "channel"] = "layer"
    admm: Rate | None = None
    every: Count | None = None
    learned: Literal["scores", "rates"] | None = None
    pressure: Weight = 0.01

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        allowed = {"scores": ("layer", "global"), "rates": ("layer",)}
        if self.learned is not None and self.scope not in allowed[self.learned]:
            raise ValueError(
                f"learned {self.learned} go with scope {' or '.join(allowed[self.learned])},"
                f" not {self.scope!r}"
            )
        if sum(way is not None for way in (self.learned, self.admm, self.every)) > 1:
            raise ValueError("admm, every or learned says how weights are chosen: give one at most")
        return self

    @property
    def open(self) -> bool:
        """Whether what is cut is open until the phase ends."""
        return (self.admm, self.every, self.learned) != (None, None, None)


class Penalty(Settings):
    """A penalty on the weights that makes them sparse.

    Attributes:
        name: In ``advprune.objectives.PENALTIES``: ``"group_lasso"`` or ``"l1"``.
        weight: Of it in the loss.
    """

    name: Annotated[str, one_of("penalty", PENALTIES)]
    weight: Rate


class CertificateSettings(Settings):
    """The bounds that objectives ``certified`` and ``certified_pruning`` train on.

    Pairs are values before and after the phase's ``eps_warmup_epochs``, between which they move in
    a line with eps; without a warm-up the second holds throughout.

    Attributes:
        bound: ``"ibp"``, ``"crown_ibp"``, or ``"polytope"``, the convex outer polytope's, which
            costs a pass for every unit whose sign the threat leaves open; ``"crown"`` likewise.
        eps: Radius that is trained against where it is not the threat's own; a larger one often
            certifies more at the smaller. In pixel units.
        clean_weight: kappa of ``kappa CE(z) + (1 - kappa) CE(z_worst)``.
        linear_share: What linear bounds count of CE(z_worst), interval bounds being the rest.
        on: Whether a gated model is bounded with sampled or with expected gates.
        fresh: Whether the run's first phase begins with weights drawn so that intervals keep their
            width from layer to layer, instead of the model's own: short schedules need it.
    """

    bound: Annotated[str, one_of("bound", BOUNDS)] = "crown_ibp"
    eps: Annotated[float, Field(gt=0), BeforeValidator(partial(read_length, "eps"))] | None = None
    clean_weight: tuple[Part, Part] = (1.0, 0.5)
    linear_share: tuple[Part, Part] = (1.0, 0.0)
    on: Literal["sampled", "expected"] = "sampled"
    fresh: bool = False


def _milliseconds(value: object) -> object:
    return value.removesuffix("ms").strip() if isinstance(value, str) else value


class Budget(Settings):
    """What the network may cost once its gated phase is over.

    Attributes:
        macs: Share of the unpruned network's multiply-accumulates, met within 2 % by exact widths.
        latency: Instead of them, milliseconds of one image, such as ``2ms``, measured in eager
            torch on this machine's CPU. When the phase begins, halving finds the share of
            multiply-accumulates that goes with it, to which training is held; when it ends, the
            largest network that is within it.
        settled_at: Share of the phase at which the target, falling from 1, reaches the budget.
        round_to: Widths are multiples of it where the layer has as many; still within the budget.
            None is 1 for multiply-accumulates, and 8 for a latency, as processors compute eight
            float32 channels at a time.
    """

    macs: Share | None = None
    latency: Annotated[Rate, BeforeValidator(_milliseconds)] | None = None
    settled_at: Share = 0.6
    round_to: Count | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.macs is None) == (self.latency is None):
            raise ValueError(
                "a budget is macs, a share, or latency, milliseconds: give one of them"
            )
        return self

    @property
    def multiple(self) -> int:
        """What widths are multiples of."""
        return self.round_to or ROUND_TO["macs" if self.latency is None else "latency"]


class GateSettings(Settings):
    """Where the gates of the gated phases sit and of which family they are.

    Attributes:
        family: Name of the posterior, as in ``advprune.gate``.
        per_position: Layers behind a flatten whose every input gets a gate of its own as well.
        options: Of the family, such as ``{start: 2.0}``.
    """

    family: Annotated[str, one_of("family of gates", FAMILIES)] = "beta_bernoulli"
    per_position: tuple[str, ...] = ()
    options: dict[str, float] = {}

    @field_validator("options")
    @classmethod
    def _options_of_the_family(
        cls, options: dict[str, float], others: ValidationInfo
    ) -> dict[str, float]:
        if "family" in others.data:
            maker(others.data["family"], options)
        return options
