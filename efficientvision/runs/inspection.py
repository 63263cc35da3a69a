"""Loads the model that inspect options name: a checkpoint's network, or an export."""

from __future__ import annotations

import logging
from typing import Any

from efficientvision.configs.inspect_options import PHOTO, InspectSettings
from efficientvision.configs.run_options import option_fields
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.loading import load_model
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import task_of_config, tasks_that
from efficientvision.tasks.loaded_model import LoadedModel

log = logging.getLogger(__name__)


def load_for_export(settings: InspectSettings) -> LoadedModel:
    """`load` for exports and benchmarks, whose input size is fixed.

    Raises:
        UserError: The size is to be each photo's own.
    """
    if settings.at_photo_size:
        raise UserError(
            f"`input_image_size={PHOTO}` is for photos and videos: exports and benchmarks need one "
            "fixed size, such as 512 or 512x256"
        )
    return load(settings)


def load(settings: InspectSettings) -> LoadedModel:
    """Builds the network and loads its checkpoint; the settings override a detector's NMS.

    With tiles, a segmenter's input has their size.
    """
    overrides: dict[str, Any] = {}
    if settings.input_image_size and not settings.at_photo_size:
        overrides["image_size"] = settings.input_image_size
    if settings.tile_hw:
        if settings.input_image_size:
            raise UserError(
                f"`tile={settings.tile}` sets the network's input size: remove `input_image_size`"
            )
        overrides["image_size"] = settings.tile_hw
    elif settings.tile_overlap is not None:
        raise UserError("`tile_overlap` needs `tile`")
    loaded = load_model(
        settings.ckpt_path, settings.model_name, settings.hparams, task=settings.task, **overrides
    )
    task = task_of_config(loaded.config)
    task.apply_settings(loaded, settings)
    report_unused(settings, task)
    return loaded


def report_unused(settings: InspectSettings, task: Task) -> None:
    """Logs which settings have no effect on a model of this task.

    Raises:
        UserError: Tiles or the photo's own size are set, but the task has neither.
    """
    for field in option_fields(InspectSettings):
        used = field.name in task.settings or not field.metadata.get("of_some_tasks")
        if not used and getattr(settings, field.name) not in (None, False):
            log.info(f"`{field.name}` has no effect: the model is {task.noun}")
    refused = f"`input_image_size={PHOTO}`" if settings.at_photo_size else f"`tile={settings.tile}`"
    if (settings.at_photo_size or settings.tile) and not task.takes_any_size:
        able = tasks_that(lambda other: other.takes_any_size)
        raise UserError(f"{refused} is only for {able}, but the model is {task.noun}")


def need_export(settings: InspectSettings, otherwise: str = "") -> None:
    """Checks that `saved_model_dir` is an exported model.

    Args:
        settings: The options.
        otherwise: Appended to the error: what else the user can do.

    Raises:
        UserError: It is not.
    """
    if not is_export(settings.saved_model_dir):
        raise UserError(
            f"`saved_model_dir={settings.saved_model_dir}` is neither a SavedModel folder nor an "
            "exported file (_frozen.pb, .onnx, .xml, .tflite): write one with "
            f"`runmode=saved_model` or `runmode=export`{otherwise}"
        )
