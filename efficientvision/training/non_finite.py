"""Messages about steps whose loss or gradients are not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ON_NAN = ("stop", "skip")
_SHOWN_IDS = 64


def stop_sentence(
    step: int, values: Mapping[str, float], source_ids: Sequence[str], kept: str | None
) -> str:
    """The error that stops training at a step that is not finite.

    Args:
        step: The step, counted from 1; nothing of it was applied.
        values: Its losses, gradient norm and learning rate.
        source_ids: Ids of the images in its batch; empty if unknown.
        kept: The newest checkpoint, None if there is none.
    """
    rate = values["learning_rate"]
    where = f"the last checkpoint is {kept}" if kept else "there is no checkpoint yet"
    return (
        f"Step {step} is not finite ({described(values)}) at learning rate {rate:.6g}, with "
        f"{batch_text(source_ids)}. Nothing of it was applied: weights, averages, optimizer and "
        f"batch-norm statistics are still those of step {step - 1}; {where}. If it always happens "
        "with these images, check their boxes with dataset/inspect_tfrecords.py, or skip such "
        "steps with `on_nan=skip`; otherwise lower learning_rate."
    )


def skip_sentence(step: int, skipped: int, source_ids: Sequence[str]) -> str:
    """One line about the latest skipped step.

    Args:
        step: The step, counted from 1.
        skipped: How many steps the run has skipped so far.
        source_ids: Ids of the images in its batch; empty if unknown.
    """
    so_far = "the first" if skipped == 1 else f"{skipped} so far"
    return f"Step {step} was not finite and was skipped ({so_far}): {batch_text(source_ids)}."


def described(values: Mapping[str, float]) -> str:
    """Losses and gradient norm as text: `loss=nan, gradient_norm=inf`."""
    shown = {name: value for name, value in values.items() if name != "learning_rate"}
    return ", ".join(f"{name}={value:.6g}" for name, value in shown.items())


def batch_text(source_ids: Sequence[str]) -> str:
    """The images of a batch as text."""
    if not source_ids:
        return "unknown images (their order is not fixed)"
    shown = ", ".join(source_ids[:_SHOWN_IDS])
    more = len(source_ids) - _SHOWN_IDS
    return f"the images {shown}" + (f" and {more} more" if more > 0 else "")
