"""The options of exports, benchmarks and predictions: `model_inspect.py`, `ev.export`.

Imports no TensorFlow, so that options are checked before it starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from efficientvision.configs.field_types import parse_image_size
from efficientvision.configs.run_options import (
    DATA_FORMATS,
    DATA_HELP,
    EXPORT_FORMATS,
    HPARAMS_HELP,
    USE_XLA_HELP,
    option,
    option_fields,
)
from efficientvision.configs.score_thresholds import parse_min_scores
from efficientvision.configs.track_options import (
    COUNT_LINE_HELP,
    TRACK_ACROSS_HELP,
    TRACK_HELP,
    TRACK_MIN_FRAMES_HELP,
    TRACK_MIN_SCORE_HELP,
    TRACK_SECONDS_HELP,
)
from efficientvision.errors import UserError
from efficientvision.registry import TASKS

RUNMODES = (
    "dry",
    "ckpt",
    "bm",
    "infer",
    "export",
    "saved_model",
    "saved_model_infer",
    "saved_model_benchmark",
    "saved_model_video",
    "freeze",
)
_BUILD = ("dry", "ckpt", "bm", "infer", "export", "saved_model", "freeze")
_TIMED = ("bm", "saved_model_benchmark")
_EXPORT = ("export", "saved_model")
_PHOTOS = ("infer", "saved_model_infer")
_VIDEO = ("saved_model_video",)
_DRAW = _PHOTOS + _VIDEO
_EXPORTED = ("saved_model_infer", "saved_model_video", "saved_model_benchmark")

# The value of `input_image_size` for each photo's own size.
PHOTO = "photo"


_LEAST = {
    **dict.fromkeys(("bm_runs", "line_thickness", "max_boxes_to_draw"), 1),
    **dict.fromkeys(("batch_size", "threads", "bm_runs_warmup"), 0),
}


def check_numbers(values: Mapping[str, Any]) -> None:
    """Raises UserError for a number of `InspectSettings` that is too small, or an invalid score."""
    for name, least in _LEAST.items():
        value = values.get(name)
        if value is not None and value < least:
            limit = "must not be negative" if least == 0 else f"must be at least {least}"
            raise UserError(f"`{name}={value}`: {limit}")
    if values.get("min_score_thresh") is not None:
        parse_min_scores(values["min_score_thresh"])


def unused_settings(names: Iterable[str], runmode: str) -> list[str]:
    """Returns those of some settings that a runmode does not use."""
    fields = {field.name: field for field in option_fields(InspectSettings)}
    known = (name for name in names if name in fields)
    return [n for n in known if runmode not in fields[n].metadata.get("runmodes", RUNMODES)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectSettings:
    """Settings for inspecting, running or exporting a model: the options of `model_inspect.py`.

    `ckpt_path` None stands for random weights, `batch_size` None for any number of images.

    The metadata of a field say which runmodes use it, and whether only some tasks do: those whose
    `Task.settings` names it. Without them, all do.
    """

    model_name: str | None = option(
        None, "model; by default the checkpoint's own, or efficientdet-d0 without a checkpoint"
    )
    task: str | None = option(
        None,
        "what the model does; by default what the checkpoint, or the model's name, says",
        choices=lambda: tuple(TASKS),
        runmodes=_BUILD,
    )
    hparams: str | None = option("", HPARAMS_HELP)
    input_image_size: str | None = option(
        None,
        "input size: 512 or WIDTHxHEIGHT; for a segmenter also photo: each photo's own size, "
        "rounded down to multiples of 32; overrides image_size in `hparams`",
        runmodes=_BUILD + _VIDEO,
    )
    ckpt_path: str | None = option(
        None,
        "checkpoint of any kind (prefix, file or folder); empty or _ for random weights",
        runmodes=_BUILD + _VIDEO,
    )
    export_ckpt: str | None = option(
        None, "`runmode=ckpt`: write the weights to this checkpoint", runmodes=("ckpt",)
    )
    logdir: str = option(
        "/tmp/deff/", "folder for the files of dry and freeze", runmodes=("dry", "freeze")
    )
    delete_logdir: bool = option(
        True,
        "first delete the files of earlier runs (only our own) from `logdir`",
        runmodes=("dry", "freeze"),
    )
    batch_size: int | None = option(
        1,
        "images per batch; 0 = any number, in exports",
        runmodes=_DRAW + _EXPORT + _TIMED + ("freeze",),
    )
    bm_runs: int = option(10, "timed runs of a benchmark", runmodes=_TIMED + ("export",))
    bm_runs_warmup: int = option(5, "untimed runs before those of a benchmark", runmodes=_TIMED)
    threads: int = option(0, "threads of a benchmark (0 = runtime default)")
    trust: bool = option(
        False,
        "run the SavedModel or frozen graph of `saved_model_dir` even if its operations can read "
        "and write files",
        runmodes=_EXPORTED,
    )
    trace_filename: str | None = option(
        None, "write a trace of one benchmark run to this file", runmodes=_TIMED
    )
    use_xla: bool = option(False, USE_XLA_HELP, runmodes=_TIMED)
    input_image: str | None = option(
        None,
        "photo, folder or glob of photos",
        runmodes=_PHOTOS + ("export", "saved_model_benchmark"),
    )
    input_video: str | None = option(
        None, "video file, camera number (0), or URL (rtsp://..., http://...)", runmodes=_VIDEO
    )
    output_video: str | None = option(
        None,
        "write a .mov, .mp4 or .mkv; without it the video is shown on a live page",
        runmodes=_VIDEO,
    )
    live_port: int | None = option(
        None, "port of the live page on 127.0.0.1 (default 8765; 0 = any free one)", runmodes=_VIDEO
    )
    track: bool = option(False, TRACK_HELP, runmodes=_VIDEO)
    track_seconds: float = option(1.0, TRACK_SECONDS_HELP, runmodes=_VIDEO)
    track_min_frames: int = option(3, TRACK_MIN_FRAMES_HELP, runmodes=_VIDEO)
    track_min_score: float | None = option(None, TRACK_MIN_SCORE_HELP, runmodes=_VIDEO)
    track_across_classes: bool = option(False, TRACK_ACROSS_HELP, runmodes=_VIDEO)
    count_line: str | None = option(None, COUNT_LINE_HELP, runmodes=_VIDEO)
    output_image_dir: str | None = option(
        None, "folder for the pictures 0.jpg, 1.jpg, ...", runmodes=_PHOTOS
    )
    raw_maps: bool = option(
        False,
        "segmentation: also write the class indices as <i>_classes.png",
        runmodes=_PHOTOS,
        of_some_tasks=True,
    )
    tile: str | None = option(
        None,
        "segmentation: process photos at full resolution in overlapping tiles of WIDTHxHEIGHT",
        runmodes=_DRAW,
    )
    tile_overlap: int | None = option(
        None,
        "pixels by which neighbouring tiles overlap (default 128)",
        runmodes=_DRAW,
        of_some_tasks=True,
    )
    segmentation_output: str | None = option(
        None,
        "exports of a segmenter return the class of each pixel of the photo (class_map), or logits "
        "at the network's size, which tiles need",
        choices=("class_map", "logits"),
        runmodes=_EXPORT,
        of_some_tasks=True,
    )
    line_thickness: int | None = option(
        None,
        "line width of the boxes, in pixels; by default it grows with the picture",
        runmodes=_DRAW,
        of_some_tasks=True,
    )
    max_boxes_to_draw: int | None = option(
        None,
        "maximum number of boxes per picture (default 100)",
        runmodes=_DRAW + _EXPORT,
        of_some_tasks=True,
    )
    min_score_thresh: str | float | None = option(
        None,
        "minimum score of a box, or probability of a class: a number, class=number for some "
        "classes, or both separated by commas. By default the scores with the best F1 that an "
        "evaluation of the run found, else 0.4 (multi-label classifier 0.5, other classifiers 0)",
        runmodes=_DRAW + _EXPORT,
        of_some_tasks=True,
    )
    nms_method: str | None = option(
        None,
        "non-maximum suppression; by default nms_configs.method in `hparams`, else hard",
        choices=("hard", "gaussian"),
        runmodes=_DRAW + _EXPORT,
        of_some_tasks=True,
    )
    saved_model_dir: str = option(
        "/tmp/saved_model",
        "SavedModel folder, or when reading also <model>_frozen.pb, .onnx, .xml (OpenVINO) or "
        ".tflite; with `runmode=export` the folder for all formats",
        runmodes=_EXPORTED + _EXPORT,
    )
    tflite_path: str | None = option(
        None, "`runmode=saved_model`: also write a LiteRT file here", runmodes=("saved_model",)
    )
    format: str = option(
        "saved_model,onnx,litert",
        f"`runmode=export`: comma-separated list of {', '.join(EXPORT_FORMATS)}",
        runmodes=("export",),
    )
    nms: str | None = option(
        None,
        "`runmode=export`: non-maximum suppression inside the exported model (offset) or left to "
        "the caller (none); by default inside, except for int8; SavedModel and frozen graph always "
        "use their own",
        choices=("offset", "none"),
        runmodes=("export",),
        of_some_tasks=True,
    )
    calibration_file_pattern: str | None = option(
        None,
        "TFRecords, photos, or a folder of labelled photos (its train part) that calibrate the "
        "value ranges of int8; by default `input_image`",
        runmodes=("export",),
    )
    val_file_pattern: str | None = option(
        None,
        "`runmode=export`: TFRecords, or a folder of labelled photos (its val part), to evaluate "
        "each format on",
        runmodes=("export",),
    )
    data_format: str = option(
        "auto", DATA_HELP["data_format"], choices=DATA_FORMATS, runmodes=("export",)
    )
    val_fraction: float | None = option(None, DATA_HELP["val_fraction"], runmodes=("export",))
    split_seed: int | None = option(None, DATA_HELP["split_seed"], runmodes=("export",))
    background: bool = option(False, DATA_HELP["background"], runmodes=("export",))
    data_cache: str | None = option(None, DATA_HELP["data_cache"], runmodes=("export",))
    val_json_file: str | None = option(
        None,
        "ground truth for `val_file_pattern`; by default that of the records",
        runmodes=("export",),
        of_some_tasks=True,
    )

    @property
    def formats(self) -> tuple[str, ...]:
        """The names in `format`."""
        return tuple(name.strip() for name in self.format.split(",") if name.strip())

    @property
    def at_photo_size(self) -> bool:
        """Whether a segmenter runs at each photo's own size."""
        return self.input_image_size == PHOTO

    @property
    def tile_hw(self) -> tuple[int, int] | None:
        """Height and width of the tiles; None without tiles.

        Raises:
            UserError: `tile` is not a size.
        """
        return parse_image_size(self.tile) if self.tile else None

    def need(self, option_name: str, runmode: str) -> Any:
        """The value of a setting that a runmode requires.

        Raises:
            UserError: It is not set.
        """
        value = getattr(self, option_name)
        if not value:
            raise UserError(f"`runmode={runmode}` needs `{option_name}`")
        return value
