"""Length and portions of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from efficientvision.errors import UserError


@dataclass(frozen=True)
class TrainingPlan:
    """How long and in what portions a run trains.

    Attributes:
        batch_size: Images a step, over all replicas.
        examples_per_epoch: Images in an epoch.
        num_epochs: Epochs.
        save_every: Steps between checkpoints.
        keep: How many checkpoints are kept.
        steps_per_call: Most steps of one call of the compiled function.
    """

    batch_size: int
    examples_per_epoch: int
    num_epochs: int
    save_every: int = 1000
    keep: int = 5
    steps_per_call: int = 1000

    def __post_init__(self):
        if self.total_steps < 1:
            raise UserError(
                f"There is nothing to train: `num_epochs={self.num_epochs}` times "
                f"`num_examples_per_epoch={self.examples_per_epoch}` images make less than one "
                f"batch of `train_batch_size={self.batch_size}`."
            )

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.num_epochs * self.examples_per_epoch // self.batch_size

    def epoch_end(self, epoch: int) -> int:
        """The step at which epoch `epoch` (counted from 1) is over."""
        return epoch * self.examples_per_epoch // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Whole epochs done after `step` steps."""
        if step >= self.total_steps:
            return self.num_epochs
        epoch = step * self.batch_size // self.examples_per_epoch
        return epoch + 1 if self.epoch_end(epoch + 1) <= step else epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch, or the run, is over after exactly `step` steps."""
        return step > 0 and (
            step >= self.total_steps or step == self.epoch_end(self.epoch_of(step))
        )
