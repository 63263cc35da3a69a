"""Metrics as people read them: in percent, losses as they are."""

from __future__ import annotations


def shown_metric(name: str, value: float | None) -> str:
    """A metric for a message or a table: 0.551 as 55.1; a loss as it is.

    "-" stands for no value: None, or COCO's -1 where there is no such ground truth.
    """
    is_loss = name.endswith("loss")
    if value is None or (value < 0 and not is_loss):
        return "-"
    return f"{value:.4g}" if is_loss else f"{100 * value:.1f}"
