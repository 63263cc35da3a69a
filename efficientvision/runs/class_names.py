"""Class names of a run: where they come from, and whether they have changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.overrides import read_yaml
from efficientvision.data.labels import find_labels, read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE, LABELS_FILE
from efficientvision.tasks.choice import task_of_config

log = logging.getLogger(__name__)

_SHOWN = 3


def drop_recipe_label_map(config: TrainingConfig, *patterns: str | None) -> None:
    """Drops a recipe's `label_map` if the records have their own names, and logs it.

    The records' names take precedence (`tasks.setup.record_names`), also in `config.yaml`.

    Args:
        config: Changed in place.
        *patterns: Record file patterns.
    """
    of_masks = task_of_config(config).of_masks
    named = resolve_label_map(config.label_map, of_masks=of_masks)
    if not named or config.is_written("label_map"):
        return
    found = (find_labels(p, of_masks=of_masks) for p in patterns if p)
    own = next((labels for labels in found if labels is not None), None)
    if own is None:
        return
    if own != named:
        log.info(
            f"Using the class names beside the records ({_differing(own, named)}), not those "
            f"of the recipe's label_map ({_differing(named, own)}). To rename the classes, set "
            "label_map=... explicitly."
        )
    config.override({"label_map": None})


def check_no_new_classes(model_dir: str, config: TrainingConfig, names: Mapping[int, str]) -> None:
    """Raises UserError if a resumed run would have another number of classes, or a class too many.

    Args:
        model_dir: The run's folder, with its previous `config.yaml` and `labels.json`.
        config: Hyper-parameters of the run, whose number of classes is fixed.
        names: The new names.
    """
    own = files.join(model_dir, CONFIG_FILE)
    began = read_yaml(own).get("num_classes") if files.is_file(own) else None
    if began is not None and began != config.num_classes:
        raise UserError(
            f"The run in {model_dir} began with num_classes={began}, which cannot become "
            f"{config.num_classes} when it resumes. Remove num_classes, or start a new run in "
            f"another `model_dir` from this one's weights with `ckpt={model_dir}`."
        )
    path = files.join(model_dir, LABELS_FILE)
    if not names or not files.is_file(path):
        return
    of_masks = task_of_config(config).of_masks
    last = config.num_classes - 1 if of_masks else config.num_classes
    last = getattr(config, "num_object_classes", last)
    if new := [number for number in names if number > last]:
        raise UserError(
            f"The run in {model_dir} began with num_classes={config.num_classes}, but the records "
            f"also have the class {new[0]} {names[new[0]]}: a run cannot add classes. Start a new "
            f"run in another `model_dir` from this one's weights with `ckpt={model_dir}`."
        )


def tell_changed_names(model_dir: str, names: Mapping[int, str], *, of_masks: bool) -> None:
    """Warns if a resumed run has different class names from those it began with.

    Args:
        model_dir: The run's folder, with its previous `labels.json`.
        names: The new names.
        of_masks: Whether class ids start at 0.
    """
    path = files.join(model_dir, LABELS_FILE)
    if not names or not files.is_file(path):
        return
    try:
        before = read_labels(path, of_masks=of_masks)
    except UserError as error:
        log.info(f"{error.sentence} It will be overwritten.")
        return
    if before != dict(names):
        log.info(
            "The class names of this run have changed, but its weights have not: before "
            f"{_differing(before, names)}; now {_differing(names, before)}. {path} is overwritten. "
            "If this is not intended, train on the records that the run began with."
        )


def _differing(names: Mapping[int, str], others: Mapping[int, str]) -> str:
    """Lists the first few names that differ from the others."""
    shown = [f"{number} {name}" for number, name in names.items() if others.get(number) != name]
    if not shown:
        return f"{len(names)} classes"
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
