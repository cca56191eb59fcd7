"""What can be set about a training run: validated models that recipes embed."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from advprune.gates import CRITERIA
from advprune.objectives import GAUSSIAN, OBJECTIVES, PRUNING, TAUGHT
from advprune.training.parts import (
    AttackSettings,
    Budget,
    CertificateSettings,
    Count,
    GaussianSettings,
    Penalty,
    Precision,
    Rate,
    Settings,
    Share,
    Sparsity,
    Weight,
    one_of,
)


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
        kl_weighting: ``"macs"`` weighs a unit's KL by the multiply-accumulates it costs,
            ``"latency"`` by the time, measured once on this machine's CPU over one batch.
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
    objective: Annotated[str, one_of("objective", OBJECTIVES)] = "standard"
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
    kl_weighting: Literal["units", "macs", "latency"] = "units"
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
    criterion: Annotated[str, one_of("criterion", CRITERIA)] = "gates"
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
