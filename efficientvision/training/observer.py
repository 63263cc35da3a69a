"""What may look on while a run trains, and end it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from efficientvision.tasks.training_task import Evaluation

if TYPE_CHECKING:
    from efficientvision.training.trainer import Trainer


class Observer:
    """Follows a run: the trainer calls each method at its moment, on the chief only.

    Every method does nothing unless a subclass gives it something to do. Losses and metrics are
    Python floats by name.
    """

    def begin(self, trainer: Trainer) -> None:
        """Before the first step; `trainer.state.step` steps were done by earlier runs."""

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """After a call of `steps` steps that took `seconds` and ended at `step`.

        `losses` holds the means over these steps.
        """

    def saving(self, step: int) -> None:
        """Before the checkpoint of a step is written."""

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """After an evaluation; `best`: the checkpoint is the best of the run so far."""

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """After epoch `epoch` (from 1), its evaluation included.

        `values` holds the means of the losses over the epoch, and the last metrics.
        """

    def why_stop(self) -> str | None:
        """A sentence, if the run should end early; asked before every epoch."""
        return None

    def end(self) -> None:
        """After the last step, or after an error."""
