"""What can be set about a training run: validated models that recipes embed.

Every value is checked where it is given; an unknown key is an error.
"""

from functools import partial
from typing import Annotated, Literal, Self

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
from advprune.gates import CRITERIA, FAMILIES, maker
from advprune.objectives import GAUSSIAN, OBJECTIVES, PENALTIES, PRUNING, TAUGHT
from advprune.threat import read_length

Precision = Literal["float32", "bfloat16"]
Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _family(name: str) -> str:
    choose("family of gates", name, FAMILIES)
    return name


def _objective(name: str) -> str:
    choose("objective", name, OBJECTIVES)
    return name


def _criterion(name: str) -> str:
    choose("criterion", name, CRITERIA)
    return name


def _penalty(name: str) -> str:
    choose("penalty", name, PENALTIES)
    return name


def _bound(name: str) -> str:
    choose("bound", name, BOUNDS)
    return name


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

    name: Annotated[str, AfterValidator(_penalty)]
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

    bound: Annotated[str, AfterValidator(_bound)] = "crown_ibp"
    eps: Annotated[float, Field(gt=0), BeforeValidator(partial(read_length, "eps"))] | None = None
    clean_weight: tuple[Part, Part] = (1.0, 0.5)
    linear_share: tuple[Part, Part] = (1.0, 0.0)
    on: Literal["sampled", "expected"] = "sampled"
    fresh: bool = False


class Budget(Settings):
    """What the network may cost once its gated phase is over.

    Attributes:
        macs: Share of the unpruned network's multiply-accumulates, met within 2 % by exact widths.
        settled_at: Share of the phase at which the target, falling from 1, reaches the budget.
        round_to: Widths are multiples of it where the layer has as many; still within the budget.
    """

    macs: Share
    settled_at: Share = 0.6
    round_to: Count = 1


class GateSettings(Settings):
    """Where the gates of the gated phases sit and of which family they are.

    Attributes:
        family: Name of the posterior, as in ``advprune.gate``.
        per_position: Layers behind a flatten whose every input gets a gate of its own as well.
        options: Of the family, such as ``{start: 2.0}``.
    """

    family: Annotated[str, AfterValidator(_family)] = "beta_bernoulli"
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


class Phase(Settings):
    """One stretch of training with one objective.

    Attributes:
        name: Stands in the logs; unique within a run.
        on: ``"dense"`` trains the plain model, ``"gaussian"`` one whose weights are Gaussian (what
            ships has their means), ``"gated"`` the gated one, ``"slim"`` the plain cut network
            into which the gates were folded.
        objective: Name in ``advprune.objectives.OBJECTIVES``.
        epochs: Passes over the training images.
        learning_rate: Peak rate of Adam for the weights.
        gate_learning_rate: Peak rate of Adam for the gates.
        schedule: How both rates move, step by step.
        milestones: Shares of the phase after which ``"steps"`` multiplies the rates by ``decay``.
        decay: Factor of ``"steps"`` at each milestone.
        weight_decay: L2 term on the weights (inside Adam's gradient); gates have none.
        gradient_clip: Largest norm of each group's gradient; None clips nothing.
        beta: Weight of ``KL / N``.
        kl_warmup_epochs: Epochs over which ``beta`` rises linearly from 0.
        kl_weighting: ``"macs"`` weighs a unit's KL by the multiply-accumulates it costs.
        eps_warmup_epochs: Epochs over which the threat's eps rises linearly from 0.
        clean_weight: c of ``(c clean + w adversarial) / (c + w)``.
        adversarial_weight: w of the same.
        consistency_weight: Weight of the tie between clean and adversarial answers: ``1 / lambda``
            of TRADES, ``lambda`` of MART and of logit pairing.
        temperature: Softens the answers of teacher and student.
        teacher: Saved model (a folder or ``zoo:NAME``) that an objective of distillation follows.
        weight_perturbation: gamma of adversarial weight perturbation; 0 is none.
        weight_perturbation_after: Epochs before it begins.
        vulnerability_weight: lambda of vulnerability suppression; 0 is none.
        vulnerability_trains_gates: Whether lambda V reaches the gates too.
        gate_clean_weight: Weight of the clean cross-entropy in the gates' loss.
        budget: A constraint on the cost, instead of a hand-tuned ``beta``.
        criterion: What ranks units when the budget is settled: ``"gates"``, or with gates of family
            ``fixed``, the ``"magnitude"`` of the weights that make them.
        sparsity: Single weights at 0.
        penalty: A penalty on the weights.
        shrinkage: lambda of ``lambda sum |w|``, not in the loss but by its proximal step: after
            each step all weights of layers come nearer to 0 by lambda times the rate, and stop
            there (Collins & Kohli 2014, arXiv 1412.1442).
        logit_noise: Deviation of noise on the logits in training.
        remove_dead_after: Epochs a unit stays inactive before it is removed for good; None never.
        attack: The attack that makes the adversarial images.
        certificate: The bounds of objectives ``certified`` and ``certified_pruning``.
        average: Decay of the exponential moving average of the parameters; None is none.
    """

    name: Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")]
    on: Literal["dense", "gaussian", "gated", "slim"] = "dense"
    objective: Annotated[str, AfterValidator(_objective)] = "standard"
    epochs: Count = 1
    learning_rate: Rate = 1e-3
    gate_learning_rate: Rate = 1e-2
    schedule: Literal["constant", "steps", "cosine", "one_cycle"] = "constant"
    milestones: tuple[Share, ...] = (0.5, 0.7)
    decay: Share = 0.1
    weight_decay: Weight = 1e-4
    gradient_clip: Rate | None = None
    beta: Weight = 1.0
    kl_warmup_epochs: Weight = 0.0
    kl_weighting: Literal["units", "macs"] = "units"
    eps_warmup_epochs: Weight = 0.0
    clean_weight: Weight = 1.0
    adversarial_weight: Weight = 2.0
    consistency_weight: Weight = 6.0
    temperature: Rate = 1.0
    teacher: str | None = None
    weight_perturbation: Weight = 0.0
    weight_perturbation_after: Weight = 0.0
    vulnerability_weight: Weight = 0.0
    vulnerability_trains_gates: bool = False
    gate_clean_weight: Weight = 0.0
    budget: Budget | None = None
    criterion: Annotated[str, AfterValidator(_criterion)] = "gates"
    sparsity: Sparsity | None = None
    penalty: Penalty | None = None
    shrinkage: Weight = 0.0
    logit_noise: Weight = 0.0
    remove_dead_after: Count | None = None
    attack: AttackSettings = AttackSettings()
    certificate: CertificateSettings = CertificateSettings()
    average: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _gates_need_a_gated_phase(self) -> Self:
        if self.on == "gated":
            return self
        if self.objective in PRUNING:
            raise ValueError(
                f"objective {self.objective!r} trains gates: it needs on: gated, not {self.on!r}"
            )
        for key in ("budget", "remove_dead_after"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key} is met by gates: it needs on: gated, not {self.on!r}")
        return self

    @model_validator(mode="after")
    def _what_prunes_here(self) -> Self:
        if self.criterion != "gates" and self.budget is None:
            raise ValueError(f"criterion {self.criterion!r} settles a budget: give one")
        if self.sparsity is not None and self.on not in ("dense", "slim"):
            raise ValueError(f"sparsity goes with on: dense or slim, not {self.on!r}")
        if self.sparsity is not None and self.sparsity.scope == "channel" and self.on != "dense":
            raise ValueError(f"sparsity of channels goes with on: dense, not {self.on!r}")
        if self.sparsity is not None and self.sparsity.learned and self.average is not None:
            raise ValueError("an average of networks with different weights at 0 has few at 0")
        return self

    @model_validator(mode="after")
    def _what_the_objective_needs(self) -> Self:
        if (self.objective in GAUSSIAN) != (self.on == "gaussian"):
            raise ValueError(
                f"objective {self.objective!r} with on: {self.on}; on: gaussian goes with"
                f" {' or '.join(map(repr, GAUSSIAN))}"
            )
        if (
            self.objective in ("standard", "madry", "bayesian_pruning", "variational_dropout")
            and self.vulnerability_weight
        ):
            raise ValueError(
                f"objective {self.objective!r} sees no pairs of images, so vulnerability_weight"
                " would do nothing; 'adversarial' sees them, with clean_weight: 0 too"
            )
        return self

    @model_validator(mode="after")
    def _a_teacher_where_one_is_heard(self) -> Self:
        if self.objective in TAUGHT and self.teacher is None:
            raise ValueError(f"objective {self.objective!r} needs a teacher: a saved model")
        if self.objective not in TAUGHT and self.teacher is not None:
            allowed = ", ".join(sorted(TAUGHT))
            raise ValueError(f"objective {self.objective!r} hears no teacher; allowed: {allowed}")
        return self

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        if self.clean_weight == self.adversarial_weight == 0:
            raise ValueError("clean_weight and adversarial_weight are both 0: one must be above")
        return self


class Training(Settings):
    """A whole run: its phases in order, and what they share.

    Attributes:
        phases: Trained one after another: dense phases, then gaussian, gated and slim ones.
        batch_size: Clean images a step.
        augment: Random changes of the training images: ``"shift"`` by up to one pixel, ``"crop"``
            by up to two, ``"crop_flip"`` by up to four, and mirrors.
        noise: Standard deviation of Gaussian noise on the training images, in units of pixels, for
            networks that are to be smoothed; attacks and bounds take no such images.
        seed: Of weights' order, gates' noise, attacks and shuffling.
        device: Where to train; ``"auto"`` takes an accelerator where there is one.
        precision: Of training's own passes.
        threads: CPU threads; None is torch's own choice, which the checkpoint then keeps.
        validation_every: Epochs between two validations; a phase's last epoch always has one.
        validation_examples: How many validation images are attacked; None is all.
        validation_batch_size: Images a batch of validation.
        validation_attack_steps: PGD steps of the validation, at full eps.
        recalibration_examples: Training images that re-estimate batch-norm statistics.
        keep_checkpoints: How many of the latest checkpoints stay on disk, besides the best one.
        checkpoint_every: Steps between two checkpoints within an epoch; None is epochs only.
        gaussian: The weights of gaussian phases.
    """

    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    batch_size: Count = 128
    augment: Literal["none", "shift", "crop", "crop_flip"] = "none"
    noise: Weight = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "float32"
    threads: Count | None = None
    validation_every: Count = 1
    validation_examples: Count | None = 1000
    validation_batch_size: Count = 256
    validation_attack_steps: Count = 20
    recalibration_examples: Annotated[int, Field(ge=2)] = 2048
    keep_checkpoints: Count = 1
    checkpoint_every: Count | None = None
    gaussian: GaussianSettings = GaussianSettings()

    @model_validator(mode="after")
    def _a_family_for_each_objective(self) -> Self:
        for phase in self.phases:
            if phase.on == "gaussian" and GAUSSIAN[phase.objective] != self.gaussian.family:
                raise ValueError(
                    f"objective {phase.objective!r} goes with gaussian.family"
                    f" {GAUSSIAN[phase.objective]!r}, not {self.gaussian.family!r}"
                )
        return self

    @property
    def networks(self) -> set[str]:
        """The saved models that the phases name."""
        teachers = {phase.teacher for phase in self.phases if phase.teacher is not None}
        return teachers.union(*(phase.attack.sources for phase in self.phases))

    @model_validator(mode="after")
    def _noise_meets_no_attack(self) -> Self:
        allowed = ("standard", "bayesian_pruning", "variational_dropout")
        others = [phase.objective for phase in self.phases if phase.objective not in allowed]
        if self.noise and others:
            raise ValueError(
                f"noise={self.noise} leaves the pixels' range, which objective {others[0]!r} does"
                f" not take; allowed with it: {', '.join(allowed)}"
            )
        return self

    @model_validator(mode="after")
    def _phases_follow_one_another(self) -> Self:
        order = ("dense", "gaussian", "gated", "slim")
        stages = [phase.on for phase in self.phases]
        if stages != sorted(stages, key=order.index):
            raise ValueError(f"phases run dense, gaussian, gated, then slim; these run {stages}")
        if "slim" in stages and "gated" not in stages:
            raise ValueError("a slim phase needs a gated one before it: it folds its gates")
        names = [phase.name for phase in self.phases]
        if len(set(names)) != len(names):
            raise ValueError(f"each phase needs a name of its own; these are {names}")
        return self
