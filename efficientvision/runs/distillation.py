"""Option `distill_from`: loads the teacher of a training run and checks that it fits."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import keras
import tensorflow as tf

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE, load_model, run_folder_of
from efficientvision.preflight.findings import OK, WARNING, Finding, listed
from efficientvision.tasks.choice import config_from_yaml, get_config, task_of_config
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.teacher import Teacher, weights_hash
from efficientvision.training.best_checkpoint import ARCHIVE_NAME
from efficientvision.training.checkpoints import list_checkpoints
from efficientvision.weights.class_head import match_classes
from efficientvision.weights.identify import identify

log = logging.getLogger(__name__)

# Hyper-parameters that only a teacher gives a meaning.
_OF_TEACHERS = ("distill_class_weight", "distill_box_weight", "distill_temperature")
# How much larger or smaller a teacher's own input may be, as a ratio of the sides.
_FAR = 1.5


def check_options(options: RunOptions, config: TrainingConfig) -> None:
    """Raises UserError for hyper-parameters of a distillation without a teacher."""
    if options.distill_from:
        return
    for name in _OF_TEACHERS:
        if hasattr(config, name) and config.is_written(name):
            raise UserError(
                f"{name}={getattr(config, name):g} has no effect without a teacher: set "
                "`distill_from` to a larger trained model, or remove it."
            )


def load_teacher(
    options: RunOptions,
    config: TrainingConfig,
    names: Mapping[int, str],
    strategy: tf.distribute.Strategy,
) -> tuple[Teacher | None, list[Finding]]:
    """Loads the teacher that the options name, at the student's input size and precision.

    Args:
        options: Options of the run.
        config: The student's hyper-parameters.
        names: Class number (1..K; of masks from 0) -> name, of the student.
        strategy: The run's strategy; the teacher's variables are created in its scope.

    Returns:
        The teacher, None without `distill_from`; findings on it for the preflight.

    Raises:
        UserError: The teacher is missing, damaged, of another task, or shares no class.
    """
    if not options.distill_from:
        return None, []
    path = best_of_run(options.distill_from)
    height, width = config.image_hw
    size = {"image_size": f"{width}x{height}", "mixed_precision": config.mixed_precision}
    try:
        with strategy.scope():
            loaded = load_model(path, task=config.task, **size)
    except UserError as error:
        raise UserError(f"`distill_from={options.distill_from}`: {error}") from error
    of_masks = task_of_config(config).of_masks
    ours, theirs, matched = _shared_classes(path, config, names, loaded, of_masks)
    teacher = Teacher(loaded.model, loaded.config, ours, theirs, path, weights_hash(loaded.model))
    log.info(
        f"Teacher: {loaded.config.name} from {path}, {_millions(loaded.model)} parameters, weights "
        f"{teacher.weights_hash[:12]}; it sees the same images as the network that is trained."
    )
    return teacher, [_class_finding(matched, config), _size_finding(path, config, loaded.config)]


def teacher_name(options: RunOptions) -> str:
    """Returns the name of the teacher's network, whose memory counts; empty if it is unknown.

    Raises:
        UserError: The teacher is missing or damaged.
    """
    if not options.distill_from:
        return ""
    path = best_of_run(options.distill_from)
    own_config = files.join(run_folder_of(path), CONFIG_FILE)
    if files.is_file(own_config):
        return config_from_yaml(own_config).name
    try:
        return identify(path).model or ""
    except UserError as error:
        raise UserError(f"`distill_from={options.distill_from}`: {error}") from error


def best_of_run(path: str) -> str:
    """Returns the archive of the best checkpoint of a run's folder; any other path as it is."""
    archive = files.join(path, ARCHIVE_NAME)
    return archive if files.is_folder(path) and list_checkpoints(archive) else path


def warn_of_small_teacher(teacher: Teacher, student: keras.Model) -> None:
    """Warns of a teacher that has fewer parameters than its student."""
    if teacher.model.count_params() < student.count_params():
        log.warning(
            f"Warning: the teacher {teacher.config.name} ({_millions(teacher.model)} parameters) "
            f"is smaller than {student.name} ({_millions(student)}): a student seldom gains from "
            "a smaller network."
        )


def _shared_classes(
    path: str,
    config: TrainingConfig,
    names: Mapping[int, str],
    loaded: LoadedModel,
    of_masks: bool,
) -> tuple[list[int], list[int], str]:
    """Positions of the shared classes in both networks' outputs, and a sentence about them."""
    first = 0 if of_masks else 1
    count, their_count = config.num_classes, loaded.config.num_classes
    ours = {i: name for i, name in names.items() if first <= i < first + count}
    theirs = {i: name for i, name in loaded.class_names.items() if first <= i < first + their_count}
    if not ours or not theirs:
        whose = "this run's" if theirs else "the teacher's"
        if count != their_count:
            raise UserError(
                f"`distill_from={path}` has {their_count} classes, but this run has {count}, and "
                f"{whose} class names are unknown, by which they are matched: set label_map, or "
                "use a teacher of the same classes."
            )
        every = list(range(count))
        return every, every, f"{count} of {count} by number ({whose} names are unknown)"
    # Class numbers from 1 on, in which two names never collide with a missing one.
    match = match_classes(ours, theirs)
    if not match.pairs:
        raise UserError(
            f"`distill_from={path}` shares no class with this run: it knows "
            f"{listed(theirs.values())}, the run {listed(ours.values())}. Use a teacher of the "
            "same classes."
        )
    pairs = sorted(match.pairs.items())
    missing = [name for number, name in sorted(ours.items()) if number not in match.pairs]
    said = f"{len(pairs)} of {count} by name"
    said += f"; the teacher lacks {listed(missing)}" if missing else ""
    return [i - first for i, _ in pairs], [i - first for _, i in pairs], said


def _class_finding(matched: str, config: TrainingConfig) -> Finding:
    found = f"classes learned from it: {matched}"
    if not matched.startswith(f"{config.num_classes} of"):
        return Finding(WARNING, "teacher", found, "the others are learned from the labels alone")
    return Finding(OK, "teacher", found)


def _size_finding(path: str, config: TrainingConfig, teacher: TrainingConfig) -> Finding:
    """Compares the student's input with that of the teacher's training."""
    own_config = files.join(run_folder_of(path), CONFIG_FILE)
    is_run = files.is_file(own_config)
    own = config_from_yaml(own_config) if is_run else get_config(teacher.name, task=teacher.task)
    (height, width), (own_height, own_width) = config.image_hw, own.image_hw
    found = f"{teacher.name} at {width}x{height}; its own size is {own_width}x{own_height}"
    ratio = math.sqrt(height * width / (own_height * own_width))
    if max(ratio, 1 / ratio) > _FAR:
        advice = "a teacher is at its best near its own size: set image_size, or train it at this"
        return Finding(WARNING, "teacher", found, advice)
    return Finding(OK, "teacher", found)


def _millions(model: keras.Model) -> str:
    return f"{model.count_params() / 1e6:.1f}M"
