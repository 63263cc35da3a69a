"""The options of `ev.predict`. Imports no TensorFlow, so that mistakes are reported at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from efficientvision.configs.run_options import HPARAMS_HELP, check_option, option, option_fields
from efficientvision.configs.score_thresholds import parse_min_scores
from efficientvision.configs.track_options import (
    COUNT_LINE_HELP,
    TRACK_ACROSS_HELP,
    TRACK_HELP,
    TRACK_MIN_FRAMES_HELP,
    TRACK_MIN_SCORE_HELP,
    TRACK_SECONDS_HELP,
    track_settings,
)
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

PRELABELS = ("coco", "label_studio", "cvat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of a prediction: which model, which results, which files."""

    folder: str = option("predictions", "output folder")
    model_name: str | None = option(
        None, "model; by default the one that the checkpoint's variables belong to"
    )
    hparams: str = option("", HPARAMS_HELP)
    batch_size: int = option(
        1, "photos of equal size per call of the network; ignored by exports with a fixed batch"
    )
    min_score_thresh: str | float | None = option(
        None,
        "minimum score of a box or probability of a class: a number, class=number for some "
        "classes, or both separated by commas. By default the scores with the best F1 that an "
        "evaluation of the run found, else 0.4 (multi-label classifier 0.5, other classifiers 0)",
    )
    classes: str | None = option(
        None, "comma-separated names or numbers of the classes to keep; by default all"
    )
    top_k: int | None = option(
        None,
        "keep at most this many boxes or classes of a photo, the best ones; by default all boxes, "
        "and the best class of a classifier (a multi-label classifier has no limit)",
    )
    tile: str | None = option(
        None,
        "segmentation: process photos at full resolution in overlapping tiles of WIDTHxHEIGHT",
    )
    tile_overlap: int | None = option(
        None, "with `tile`: pixels by which neighbouring tiles overlap (default 128)"
    )
    pictures: bool = option(True, "write the photos with the results drawn on them")
    line_thickness: int | None = option(
        None, "line width of the boxes, in pixels; by default it grows with the picture"
    )
    max_boxes_to_draw: int | None = option(
        None, "maximum number of boxes drawn on a picture (default 100)"
    )
    save_txt: bool = option(
        False, "detection: also write YOLO's labels/<photo>.txt (class x y width height, 0..1)"
    )
    save_conf: bool = option(False, "with `save_txt`: add the score to each line")
    save_crops: bool = option(False, "detection: also write each object as crops/<class>/<photo>")
    save_prelabels: str = option(
        "",
        "also write files that annotation tools import, to correct the results by hand: "
        f"comma-separated list of {', '.join(PRELABELS)}",
    )
    label_studio_prefix: str = option(
        "/data/local-files/?d=",
        "`save_prelabels=label_studio`: what precedes a photo's path, relative to `photos`, in the "
        "URL that Label Studio opens",
    )
    resume: bool = option(
        False, "continue an interrupted prediction in `folder`: skip photos that have results"
    )
    overwrite: bool = option(False, "replace the results of an earlier prediction in `folder`")
    track: bool = option(False, TRACK_HELP)
    track_seconds: float = option(1.0, TRACK_SECONDS_HELP)
    track_min_frames: int = option(3, TRACK_MIN_FRAMES_HELP)
    track_min_score: float | None = option(None, TRACK_MIN_SCORE_HELP)
    track_across_classes: bool = option(False, TRACK_ACROSS_HELP)
    count_line: str | None = option(None, COUNT_LINE_HELP)
    threads: int = option(0, "threads of an exported model (0 = runtime default)")
    trust: bool = option(
        False,
        "run a SavedModel or frozen graph even if its operations can read and write files",
    )

    @property
    def prelabels(self) -> tuple[str, ...]:
        """The names in `save_prelabels`."""
        return tuple(name.strip() for name in self.save_prelabels.split(",") if name.strip())

    @property
    def class_list(self) -> list[str] | None:
        """The names in `classes`; None: all classes."""
        if self.classes is None:
            return None
        return [name.strip() for name in self.classes.split(",") if name.strip()]


def predict_options(values: Mapping[str, Any]) -> PredictOptions:
    """Makes the options of keyword arguments.

    Raises:
        UserError: An option is unknown, of the wrong type or out of range, or two contradict.
    """
    fields = {field.name: field for field in option_fields(PredictOptions)}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"Unknown option {name}. {nearest_names(name, list(fields))}")
        if name != "min_score_thresh":
            check_option(fields[name], value)
    options = PredictOptions(**values)
    if options.min_score_thresh is not None:
        parse_min_scores(options.min_score_thresh)
    for name in ("batch_size", "top_k", "line_thickness", "max_boxes_to_draw"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise UserError(f"`{name}={number}`: must be at least 1.")
    for name in options.prelabels:
        if name not in PRELABELS:
            raise UserError(f"`save_prelabels={name}`: unknown. {nearest_names(name, PRELABELS)}")
    for name, needed in (("tile_overlap", "tile"), ("save_conf", "save_txt")):
        if getattr(options, name) and not getattr(options, needed):
            raise UserError(f"`{name}` needs `{needed}`.")
    track_settings(options)
    if options.resume and options.overwrite:
        raise UserError("`resume` keeps the results in `folder` and `overwrite` replaces them.")
    return options
