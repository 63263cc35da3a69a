"""What a kill must not cost an epoch: its losses so far, its row of results, its evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.training.run_log import read_results


class EpochLosses:
    """The means of the losses over an epoch; the checkpoints carry them along."""

    def __init__(self):
        self._totals: dict[str, float] = {}
        self._steps = 0

    def add(self, losses: Mapping[str, float], steps: int) -> None:
        """Takes the means over `steps` steps."""
        for name, value in losses.items() if steps else ():
            self._totals[name] = self._totals.get(name, 0.0) + value * steps
        self._steps += steps

    def means(self) -> dict[str, float]:
        """The means over all that was taken; empty without any."""
        return {name: value / self._steps for name, value in self._totals.items() if self._steps}

    def reset(self) -> None:
        """Begins another epoch."""
        self._totals, self._steps = {}, 0

    def snapshot(self) -> dict:
        """What `restore` takes, in JSON's types."""
        return {"totals": dict(self._totals), "steps": self._steps}

    def restore(self, values: Mapping) -> None:
        """Goes on from a snapshot; an empty one is that of a run which kept none."""
        self._totals = {name: float(value) for name, value in values.get("totals", {}).items()}
        self._steps = int(values.get("steps", 0))


def lacks_row(model_dir: AnyPath, step: int, metric: str | None = None) -> bool:
    """Whether `results.csv` has no row of a step, or one without this metric.

    The row is written last of all that belongs to an epoch, so it stands for the rest. A damaged
    file has none.
    """
    try:
        rows = [row for row in read_results(model_dir) if int(row["step"]) == step]
    except UserError:
        return True
    return not rows or (metric is not None and not rows[-1].get(metric))
