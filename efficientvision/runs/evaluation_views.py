"""`--test_*`: how an evaluation looks at each photo, from flags."""

from __future__ import annotations

import logging

from efficientvision.api import build_from_config
from efficientvision.configs import DetectorConfig, SegmentationConfig, SsdConfig
from efficientvision.errors import UserError
from efficientvision.runs.options import RunOptions
from efficientvision.tasks.detection_views import DetectionViews, ViewOptions
from efficientvision.tasks.segmentation_views import SegmentationViews
from efficientvision.tasks.ssd_views import SsdViews

log = logging.getLogger(__name__)

_NAMES = ("test_flip", "test_scales", "test_merge", "test_iou_thresh")


def check_options(options: RunOptions) -> None:
    """Raises UserError where the flags cannot be honoured; opens no file."""
    named = [f"`{name}`" for name in _NAMES if name in options.written]
    if not named:
        return
    if options.mode != "eval":
        raise UserError(f"{named[0]} is for `mode=eval`; a training evaluates without it.")
    if options.test_iou_thresh is not None and options.test_merge != "wbf":
        raise UserError(
            "`test_iou_thresh` is for `test_merge=wbf`; the overlap of nms is "
            "`hparams=nms_configs.iou_thresh=0.5`."
        )
    scales = _scales(options)
    merging = [name for name in named if name in ("`test_merge`", "`test_iou_thresh`")]
    if merging and not options.test_flip and len(scales) == 1:
        raise UserError(
            f"{merging[0]} has nothing to merge: add `test_flip` or `test_scales=0.75,1,1.25`."
        )


def asks_for_views(options: RunOptions) -> bool:
    """Whether the flags ask for more than one look at the network's own size."""
    return options.test_flip or asks_for_scales(options)


def asks_for_scales(options: RunOptions) -> bool:
    """Whether the flags ask for other sizes of the photos."""
    return _scales(options) != (1.0,)


def build_views(options: RunOptions, config: DetectorConfig) -> DetectionViews | None:
    """The views that the flags ask for; None for the plain evaluation. Says what they are."""
    if not asks_for_views(options):
        return None
    overlap = {} if options.test_iou_thresh is None else {"iou_thresh": options.test_iou_thresh}
    how_to_look = ViewOptions(options.test_flip, _scales(options), options.test_merge, **overlap)
    kind = SsdViews if isinstance(config, SsdConfig) else DetectionViews
    views = kind(config, how_to_look, build_from_config)
    looks = ", ".join(
        f"{view.fit_hw[1]}x{view.fit_hw[0]}{' mirrored' if view.mirrored else ''}"
        for view in views.views
    )
    how = {"wbf": "weighted box fusion, each after hard NMS", "nms": "one NMS of all candidates"}
    merged = f"; merged by {how[how_to_look.merge]}" if len(views.views) > 1 else ""
    log.info(f"Each photo is seen as {looks}{merged}.")
    return views


def build_segmentation_views(
    options: RunOptions, config: SegmentationConfig
) -> SegmentationViews | None:
    """The same for segmentation."""
    if not asks_for_views(options):
        return None
    views = SegmentationViews(
        config, flip=options.test_flip, scales=_scales(options), build_network=build_from_config
    )
    log.info(f"Each photo is seen as {views.described}; the probabilities are averaged.")
    return views


def _scales(options: RunOptions) -> tuple[float, ...]:
    parts = [part for part in options.test_scales.replace("*", ",").split(",") if part.strip()]
    try:
        scales = tuple(float(part) for part in parts)
    except ValueError:
        scales = ()
    if not scales or any(not 0 < scale < 100 for scale in scales):
        raise UserError(
            f"`test_scales={options.test_scales}` is no list of factors such as 0.75,1,1.25."
        )
    return scales
