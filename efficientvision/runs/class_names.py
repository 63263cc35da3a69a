"""What a run says of its classes' names: whose they are, and that they are others than before."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.data.labels import find_labels, read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.loading import LABELS_FILE
from efficientvision.tasks.choice import task_of_config

log = logging.getLogger(__name__)

_SHOWN = 3


def drop_recipe_label_map(config: TrainingConfig, *patterns: str | None) -> None:
    """Drops a recipe's `label_map` where the records have names of their own, and says so.

    Those count then (`tasks.setup.record_names`), and the run's `config.yaml` says nothing else.

    Args:
        config: Changed in place.
        *patterns: The records.
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
            f"The classes have the names beside the records ({_differing(own, named)}), not those "
            f"of the recipe's label_map ({_differing(named, own)}). To rename them, write "
            "label_map=... itself."
        )
    config.override({"label_map": None})


def check_no_new_classes(model_dir: str, config: TrainingConfig, names: Mapping[int, str]) -> None:
    """Raises UserError where a run that goes on would have a class that it has no output for.

    Args:
        model_dir: The run's folder, its `labels.json` still that of before.
        config: The run's: its number of classes stays.
        names: The names from now on.
    """
    path = files.join(model_dir, LABELS_FILE)
    if not names or not files.is_file(path):
        return
    of_masks = task_of_config(config).of_masks
    last = config.num_classes - 1 if of_masks else config.num_classes
    last = getattr(config, "num_object_classes", last)
    if new := [number for number in names if number > last]:
        raise UserError(
            f"The run in {model_dir} began with num_classes={config.num_classes}, and the records "
            f"have the class {new[0]} {names[new[0]]} too: a run keeps its classes. Choose another "
            f"`model_dir`, and begin from this run with `ckpt={model_dir}`."
        )


def tell_changed_names(model_dir: str, names: Mapping[int, str], *, of_masks: bool) -> None:
    """Says it where a run that goes on has other names for its classes than it began with.

    Args:
        model_dir: The run's folder, its `labels.json` still that of before.
        names: The names from now on.
        of_masks: Class 0 is a class too.
    """
    path = files.join(model_dir, LABELS_FILE)
    if not names or not files.is_file(path):
        return
    try:
        before = read_labels(path, of_masks=of_masks)
    except UserError as error:
        log.info(f"{error.sentence} It is rewritten.")
        return
    if before != dict(names):
        log.info(
            "The class names of this run have changed, but its weights have not: before "
            f"{_differing(before, names)}; now {_differing(names, before)}. {path} is rewritten. "
            "If this is not intended, train on the records that the run began with."
        )


def _differing(names: Mapping[int, str], others: Mapping[int, str]) -> str:
    """The names that the others do not have in their place, the first few."""
    shown = [f"{number} {name}" for number, name in names.items() if others.get(number) != name]
    if not shown:
        return f"{len(names)} classes"
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
