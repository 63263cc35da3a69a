"""Progress within an epoch that must survive a kill: losses so far, row of results."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.training.run_log import read_results


class EpochLosses:
    """Means of the losses over an epoch; saved in checkpoints."""

    def __init__(self):
        self._totals: dict[str, float] = {}
        self._steps = 0

    def add(self, losses: Mapping[str, float], steps: int) -> None:
        """Adds the means over `steps` steps."""
        for name, value in losses.items() if steps else ():
            self._totals[name] = self._totals.get(name, 0.0) + value * steps
        self._steps += steps

    def means(self) -> dict[str, float]:
        """The means over all added steps; empty if there are none."""
        return {name: value / self._steps for name, value in self._totals.items() if self._steps}

    def reset(self) -> None:
        """Starts a new epoch."""
        self._totals, self._steps = {}, 0

    def snapshot(self) -> dict:
        """The state for `restore`, in JSON types."""
        return {"totals": dict(self._totals), "steps": self._steps}

    def restore(self, values: Mapping) -> None:
        """Continues from a snapshot; empty for checkpoints that have none."""
        self._totals = {name: float(value) for name, value in values.get("totals", {}).items()}
        self._steps = int(values.get("steps", 0))


def lacks_row(model_dir: AnyPath, step: int, metric: str | None = None) -> bool:
    """Whether `results.csv` has no row for a step, or one without this metric.

    The row is the last thing written for an epoch, so it proves that the rest is there. A damaged
    file counts as empty.
    """
    try:
        rows = [row for row in read_results(model_dir) if int(row["step"]) == step]
    except UserError:
        return True
    return not rows or (metric is not None and not rows[-1].get(metric))
