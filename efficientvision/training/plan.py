"""Length of a training run, and what it saves."""

from __future__ import annotations

from dataclasses import dataclass

from efficientvision.errors import UserError
from efficientvision.files import AnyPath


@dataclass(frozen=True)
class TrainingPlan:
    """The length of a run, where and how often it saves, and how it evaluates.

    Attributes:
        batch_size: Images per step, over all replicas.
        examples_per_epoch: Images per epoch.
        num_epochs: Number of epochs.
        model_dir: Folder for checkpoints and logs. A `Trainer` needs one; lengths alone do not.
        save_every: Steps between checkpoints.
        keep: How many checkpoints are kept.
        steps_per_call: Most steps per call of the compiled function.
        eval_batch_size: Images per batch of an evaluation.
        profile: Write a TensorFlow profile of a few steps to `<model_dir>/profile`.

    Raises:
        UserError: The run would be shorter than one step.
    """

    batch_size: int
    examples_per_epoch: int
    num_epochs: int
    model_dir: AnyPath = ""
    save_every: int = 1000
    keep: int = 5
    steps_per_call: int = 1000
    eval_batch_size: int = 1
    profile: bool = False

    def __post_init__(self):
        if self.total_steps < 1:
            raise UserError(
                f"Nothing to train: `num_epochs={self.num_epochs}` times "
                f"`num_examples_per_epoch={self.examples_per_epoch}` images are fewer than "
                f"one batch of `train_batch_size={self.batch_size}`. Train longer or use a "
                "smaller batch."
            )

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.num_epochs * self.examples_per_epoch // self.batch_size

    def epoch_end(self, epoch: int) -> int:
        """The step at which epoch `epoch` (counted from 1) ends."""
        return epoch * self.examples_per_epoch // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Number of whole epochs completed after `step` steps."""
        if step >= self.total_steps:
            return self.num_epochs
        epoch = step * self.batch_size // self.examples_per_epoch
        return epoch + 1 if self.epoch_end(epoch + 1) <= step else epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch, or the run, ends at exactly `step`."""
        return step > 0 and (
            step >= self.total_steps or step == self.epoch_end(self.epoch_of(step))
        )
