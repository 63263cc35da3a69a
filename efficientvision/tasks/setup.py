"""What the tasks need alike when a run is set up: names and numbers from records, frozen parts."""

from __future__ import annotations

import re
from collections.abc import Callable

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import find_labels, resolve_label_map
from efficientvision.data.record_files import count_records, match_files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.weights.identify import Identified
from efficientvision.weights.names import BACKBONE, name_from_keras_path, part_of

# Published segmentation networks say in their file's name what size they are for.
_SIZE_IN_NAME = re.compile(r"_(\d+x\d+)\.pth$")


def record_names(
    config: TrainingConfig, *patterns: str | None, of_masks: bool = False
) -> dict[int, str]:
    """Names by class id: those beside the records, else the configuration's `label_map`.

    A `label_map` that the user wrote comes first. One of a recipe does not: a recipe that was
    written for other data must not rename the classes of these.
    """
    named = resolve_label_map(config.label_map, of_masks=of_masks)
    if named and config.is_written("label_map"):
        return named
    for pattern in filter(None, patterns):
        if (own := find_labels(pattern, of_masks=of_masks)) is not None:
            return own
    return named or {}


def count_images(options: RunOptions, evaluation: str | None) -> RunOptions:
    """Options whose `num_examples_per_epoch` and `eval_samples`, if not given, mean all images.

    Args:
        options: `train_file_pattern` names the training records, unless it is an evaluation.
        evaluation: Pattern of the evaluation records; None: there are none.
    """
    training = None if options.mode == "eval" else options.train_file_pattern
    counts = {
        name: sum(count_records(match_files(pattern))) or 1
        for name, pattern in (("num_examples_per_epoch", training), ("eval_samples", evaluation))
        if pattern and name not in options.written
    }
    return options.replace(**counts)


def factor_beside_backbone(factor: float) -> Callable[[str], float] | None:
    """Path of a variable -> the factor, of the backbone's 1; None where it is 1 for all."""
    if factor == 1.0:
        return None
    return lambda path: 1.0 if part_of(name_from_keras_path(path)) == BACKBONE else factor


def check_freeze(config: TrainingConfig, what: str) -> None:
    """Raises UserError where `freeze` names more than the backbone."""
    if others := set(config.freeze) - {"backbone"}:
        raise UserError(
            f"freeze={'+'.join(config.freeze)}: {what} has no {sorted(others)[0]}; freeze=backbone "
            "keeps all but what stands on it."
        )


def take_num_classes(config: TrainingConfig, found: Identified) -> list[str]:
    """Takes the number of classes from a checkpoint where the user gave none; lines that say so."""
    if found.num_classes in (None, config.num_classes) or config.is_set("num_classes"):
        return []
    config.override({"num_classes": found.num_classes})
    return [f"num_classes={found.num_classes} (read from the checkpoint)"]


def apply_published_size(config: TrainingConfig, path: AnyPath) -> list[str]:
    """Takes the image size of a file such as `espnetv2_s_2.0_city_1024x512.pth` from its name.

    Returns:
        A line that says so; none where the user gave a size, or the name has none.
    """
    size = _SIZE_IN_NAME.search(files.as_text(path))
    if size is None or config.is_set("image_size"):
        return []
    config.override({"image_size": size[1]})
    return [f"image_size={size[1]} (from the name of the file)"]
