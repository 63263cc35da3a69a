"""The update of the weights: optimizer, regularisation, precision and what is frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from efficientvision.errors import UserError
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training.non_finite import ON_NAN
from efficientvision.training.optimizers import UpdateRule, build_optimizer, uses_l2_loss
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Settings of the training step. The learning rate is the schedule's.

    Attributes:
        optimizer: "sgd" (with momentum), "adam" or "adamw".
        momentum: Momentum of "sgd".
        beta_1: First-moment decay of "adam" and "adamw".
        beta_2: Second-moment decay of "adam" and "adamw".
        epsilon: Constant in the denominator of "adam" and "adamw".
        weight_decay: Factor of the L2 penalty in the loss; for "adamw", decoupled decay instead.
        decay_all: Apply weight decay to all weights, not only to kernels.
        rate_factor: Maps a variable's path to a factor on its learning rate; None means 1.
        layer_decay: Factor on the learning rate from each stage of the backbone to the one below;
            see `layer_decay.with_layer_decay`.
        held_parts: Parts of the network that are frozen for the first `hold_steps` steps.
        hold_steps: See `held_parts`.
        clip_norm: Gradient clipping norm, 0 to disable.
        moving_average_decay: Largest decay of the weight averages, 0 to disable.
        freeze_pattern: Regular expression; variables whose path it matches are not trained.
        micro_batches: Gradient accumulation: number of micro-batches into which each replica
            splits its share of a batch, to need less memory.
        scale_loss: Scale the loss dynamically, as float16 requires.
        on_nan: "stop" at a step whose loss or gradients are not finite, or "skip" it; either way
            nothing of that step is applied.
        use_xla: Compile the training step with XLA.
        seed: Seed of the layers' randomness.

    Raises:
        UserError: `on_nan` is unknown.
    """

    optimizer: str = "sgd"
    momentum: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float = 0.0
    decay_all: bool = False
    rate_factor: Callable[[str], float] | None = None
    layer_decay: float = 1.0
    held_parts: tuple[str, ...] = ()
    hold_steps: int = 0
    clip_norm: float = 0.0
    moving_average_decay: float = 0.0
    freeze_pattern: str | None = None
    micro_batches: int = 1
    scale_loss: bool = False
    on_nan: str = "stop"
    use_xla: bool = False
    seed: int = 0

    def __post_init__(self):
        if self.on_nan not in ON_NAN:
            raise UserError(f"`on_nan` must be one of {', '.join(ON_NAN)}; got {self.on_nan!r}.")

    @property
    def skips_non_finite(self) -> bool:
        """Whether training goes on after a step that is not finite."""
        return self.on_nan == "skip"

    @property
    def l2_factor(self) -> float:
        """Factor of the L2 penalty in the loss; 0 where the optimizer decays the weights itself."""
        return self.weight_decay if uses_l2_loss(self.optimizer) else 0.0

    def build_step(
        self, task: TrainingTask, state: TrainingState, *, held: bool = False
    ) -> TrainStep:
        """The compiled step; `held`: while `held_parts` are frozen."""
        return TrainStep(
            task,
            state,
            weight_decay=self.l2_factor,
            clip_norm=self.clip_norm,
            micro_batches=self.micro_batches,
            skip_non_finite=self.skips_non_finite,
            use_xla=self.use_xla,
            held=held,
        )

    def build_optimizer(self) -> UpdateRule:
        """The optimizer, as `FlatOptimizer` takes it.

        Raises:
            UserError: Its name is unknown.
        """
        return build_optimizer(
            self.optimizer,
            momentum=self.momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
        )
