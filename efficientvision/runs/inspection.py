"""The model that inspect options name: a checkpoint's network, or an export."""

from __future__ import annotations

import logging
from typing import Any

from efficientvision.configs.inspect_options import PHOTO, InspectSettings
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.loading import LoadedModel, load_model
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import task_of_config

log = logging.getLogger(__name__)

# Settings that mean something to some tasks only, see `Task.own_settings`.
_OF_SOME_TASKS = (
    *("nms", "nms_method", "max_boxes_to_draw", "line_thickness", "val_json_file"),
    *("min_score_thresh", "raw_maps", "tile_overlap", "segmentation_output"),
)


def load_for_export(settings: InspectSettings) -> LoadedModel:
    """`load` of what is written or timed, whose size is fixed.

    Raises:
        UserError: the photo's own size is asked for.
    """
    if settings.at_photo_size:
        raise UserError(
            f"`input_image_size={PHOTO}` is for pictures and videos: what is exported or "
            "timed has one size"
        )
    return load(settings)


def load(settings: InspectSettings) -> LoadedModel:
    """Builds the network and loads its checkpoint; the flags decide a detector's NMS.

    A segmenter for tiles has their size.
    """
    overrides: dict[str, Any] = {}
    if settings.input_image_size and not settings.at_photo_size:
        overrides["image_size"] = settings.input_image_size
    if settings.tile_hw:
        if settings.input_image_size:
            raise UserError(
                f"`tile={settings.tile}` is the network's input size: leave `input_image_size` out"
            )
        overrides["image_size"] = settings.tile_hw
    elif settings.tile_overlap is not None:
        raise UserError("`tile_overlap` needs `tile`")
    loaded = load_model(
        settings.ckpt_path, settings.model_name, settings.hparams, task=settings.task, **overrides
    )
    task = task_of_config(loaded.config)
    task.apply_settings(loaded.config, settings)
    say_other_tasks(settings, task)
    return loaded


def say_other_tasks(settings: InspectSettings, task: Task) -> None:
    """Names the given settings that mean nothing to a model of this task.

    Raises:
        UserError: tiles or the photo's own size are asked for, and the task has none.
    """
    for name in _OF_SOME_TASKS:
        if getattr(settings, name) not in (None, False) and name not in task.own_settings:
            log.info(f"`{name}` has no effect: the model is {task.noun}")
    refused = f"`input_image_size={PHOTO}`" if settings.at_photo_size else f"`tile={settings.tile}`"
    if (settings.at_photo_size or settings.tile) and "tile" not in task.own_settings:
        raise UserError(f"{refused} is for segmenters, and the model is {task.noun}")


def need_export(settings: InspectSettings, otherwise: str = "") -> None:
    """Makes sure that --saved_model_dir is an exported model.

    Args:
        otherwise: what else the user may do, for the error.

    Raises:
        UserError: it is not.
    """
    if not is_export(settings.saved_model_dir):
        raise UserError(
            f"`saved_model_dir={settings.saved_model_dir}` is no SavedModel folder and no exported "
            "file (_frozen.pb, .onnx, .xml, .tflite): write one with "
            f"`runmode=saved_model` or `runmode=export`{otherwise}"
        )
