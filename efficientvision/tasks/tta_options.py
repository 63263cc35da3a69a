"""Checks and parses the test-time augmentation options (`test_flip`, `test_scales`, ...)."""

from __future__ import annotations

from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError

_NAMES = ("test_flip", "test_scales", "test_merge", "test_iou_thresh")


def check_options(options: RunOptions) -> None:
    """Raises UserError for options that cannot be combined; opens no file."""
    named = [f"`{name}`" for name in _NAMES if name in options.written]
    if not named:
        return
    if options.mode != "eval":
        raise UserError(f"{named[0]} only works with `mode=eval`, not during training.")
    if options.test_iou_thresh is not None and options.test_merge != "wbf":
        raise UserError(
            "`test_iou_thresh` only applies to `test_merge=wbf`; for nms set "
            "`hparams=nms_configs.iou_thresh=0.5`."
        )
    scales = scales_of(options)
    merging = [name for name in named if name in ("`test_merge`", "`test_iou_thresh`")]
    if merging and not options.test_flip and len(scales) == 1:
        raise UserError(
            f"{merging[0]} has nothing to merge: add `test_flip` or `test_scales=0.75,1,1.25`."
        )


def asks_for_tta(options: RunOptions) -> bool:
    """Whether the options ask for any test-time augmentation."""
    return options.test_flip or asks_for_scales(options)


def asks_for_scales(options: RunOptions) -> bool:
    """Whether the options ask for other image scales."""
    return scales_of(options) != (1.0,)


def scales_of(options: RunOptions) -> tuple[float, ...]:
    """Parses `test_scales`, factors of the network's input size; raises UserError if malformed."""
    parts = [part for part in options.test_scales.replace("*", ",").split(",") if part.strip()]
    try:
        scales = tuple(float(part) for part in parts)
    except ValueError:
        scales = ()
    if not scales or any(not 0 < scale < 100 for scale in scales):
        raise UserError(
            f"`test_scales={options.test_scales}` is not a list of factors such as 0.75,1,1.25."
        )
    return scales
