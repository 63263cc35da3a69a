"""Shared helpers for setting up a run: class names, image counts, frozen parts."""

from __future__ import annotations

import re
from collections.abc import Callable

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import find_labels, resolve_label_map
from efficientvision.data.record_files import num_records
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.tasks.choice import config_from_yaml
from efficientvision.weights.identify import Identified
from efficientvision.weights.names import BACKBONE, name_from_keras_path, part_of

# Published segmentation networks have their input size in the file name.
# EdgeNets' files, and google/automl's checkpoints that were trained at 640 pixels.
_SIZE_IN_NAME = re.compile(r"_(\d+x\d+)\.pth$|efficientdet-d[2-6]-(640)(?![^./])")


def record_names(
    config: TrainingConfig, *patterns: str | None, of_masks: bool = False
) -> dict[int, str]:
    """Returns names by class id: those beside the records, else the config's `label_map`.

    A `label_map` set by the user takes precedence over both. One from a recipe does not: a recipe
    written for other data must not rename these classes.
    """
    named = resolve_label_map(config.label_map, of_masks=of_masks)
    if named and config.is_written("label_map"):
        return named
    for pattern in filter(None, patterns):
        if (own := find_labels(pattern, of_masks=of_masks)) is not None:
            return own
    return named or {}


def count_images(options: RunOptions, evaluation: str | None) -> RunOptions:
    """Sets `num_examples_per_epoch` and `eval_samples` to all images where they are not set.

    Args:
        options: Options; `train_file_pattern` is used unless only evaluating.
        evaluation: Pattern of the evaluation records, or None.
    """
    training = None if options.mode == "eval" else options.train_file_pattern
    counts = {
        name: num_records(pattern) or 1
        for name, pattern in (("num_examples_per_epoch", training), ("eval_samples", evaluation))
        if pattern and name not in options.written
    }
    return options.replace(**counts)


def factor_beside_backbone(factor: float) -> Callable[[str], float] | None:
    """Returns variable path -> `factor`, or 1 for the backbone; None if it is 1 for all."""
    if factor == 1.0:
        return None
    return lambda path: 1.0 if part_of(name_from_keras_path(path)) == BACKBONE else factor


def check_freeze(config: TrainingConfig, what: str) -> None:
    """Raises UserError if `freeze` names more than the backbone."""
    if others := set(config.freeze) - {"backbone"}:
        raise UserError(
            f"freeze={'+'.join(config.freeze)}: {what} has no {sorted(others)[0]}; freeze=backbone "
            "freezes everything below the head."
        )


def take_num_classes(config: TrainingConfig, found: Identified) -> list[str]:
    """Takes the number of classes from a checkpoint if the user set none; returns log lines."""
    if found.num_classes in (None, config.num_classes) or config.is_set("num_classes"):
        return []
    config.override({"num_classes": found.num_classes})
    return [f"num_classes={found.num_classes} (read from the checkpoint)"]


def take_from_run(config: TrainingConfig, ckpt: AnyPath, *names: str) -> list[str]:
    """Takes hyper-parameters that the user did not set from the run that trained a checkpoint.

    Args:
        config: Changed in place.
        ckpt: Checkpoint path; nothing changes if it is not that of a run of the same model.
        *names: Numbers that the weights depend on, but that do not show in them.

    Returns:
        One line per change.
    """
    path = files.join(run_folder_of(ckpt), CONFIG_FILE)
    if not files.is_file(path):
        return []
    saved = config_from_yaml(path)
    if (saved.name, saved.task) != (config.name, config.task):
        return []
    lines = []
    for name in names:
        value = getattr(saved, name)
        if not config.is_set(name) and getattr(config, name) != value:
            config.override({name: value})
            lines.append(f"{name}={value:g} (from the run in `ckpt`)")
    return lines


def apply_published_size(config: TrainingConfig, path: AnyPath) -> list[str]:
    """Takes the image size from a name: `espnetv2_s_2.0_city_1024x512.pth`, `efficientdet-d2-640`.

    Returns:
        One log line; empty if the user set a size or the name has none.
    """
    size = _SIZE_IN_NAME.search(files.as_text(path))
    if size is None or config.is_set("image_size"):
        return []
    pixels = size[1] or int(size[2])
    config.override({"image_size": pixels})
    return [f"image_size={pixels} (from the file name)"]
