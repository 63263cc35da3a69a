"""Option `defaults=data`: fills in what is not set from the training data and this machine.

What was chosen is logged with its reasons, and kept in the run's folder: a run that resumes goes on
with its own values, whatever has become of the data.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.overrides import Recipe, read_overrides
from efficientvision.configs.run_options import MODERN_RECIPE, RunOptions
from efficientvision.data.labels import find_labels
from efficientvision.data.record_files import num_records
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE
from efficientvision.tasks import default_values
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.data_defaults import DataDefaults
from efficientvision.tasks.default_values import (
    BACKBONE,
    CHECKPOINT,
    RANDOM,
    Choice,
    DataFacts,
    Machine,
)
from efficientvision.tasks.memory_use import FIXED_BYTES, teacher_bytes
from efficientvision.tasks.setup import count_images, record_names
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.training.device_memory import device_kind, free_bytes
from efficientvision.training.distribution import from_chief, local_replicas
from efficientvision.training.schedules import REFERENCE_BATCH_SIZE, adjusted_learning_rate

log = logging.getLogger(__name__)

FILE_NAME = "data_defaults.json"
# Options that are not in `config.yaml`, and that a run keeps.
_KEPT = ("train_batch_size", "num_examples_per_epoch", "eval_batch_size")
_EVAL_BATCH = 8
_SHOWN_NAMES = 6


@dataclasses.dataclass(frozen=True)
class Kept:
    """The content of `data_defaults.json` in a run's folder.

    Attributes:
        options: Values of options that are not in `config.yaml`, by name.
        choices: What was chosen, with reasons.
    """

    options: dict[str, int]
    choices: list[Choice]

    def write(self, model_dir: str) -> None:
        """Writes `data_defaults.json` to the run's folder."""
        content = {
            "options": self.options,
            "choices": [dataclasses.asdict(choice) for choice in self.choices],
        }
        files.write_text(files.join(model_dir, FILE_NAME), json.dumps(content, indent=1) + "\n")


def read_kept(model_dir: str) -> Kept | None:
    """Reads `data_defaults.json` of a run's folder; None if there is none.

    Raises:
        UserError: The file is damaged.
    """
    path = files.join(model_dir, FILE_NAME)
    if not files.is_file(path):
        return None
    try:
        content = json.loads(files.read_text(path))
        options = {name: int(content["options"][name]) for name in _KEPT}
        return Kept(options, [Choice(**choice) for choice in content["choices"]])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it, and set `defaults=published` and the options "
            f"and hyper-parameters of the run ({', '.join(_KEPT)}, those in {CONFIG_FILE})."
        ) from None


def of_run(options: RunOptions) -> RunOptions:
    """Returns the options with the `defaults` that a resumed run began with, if not set."""
    if "defaults" in options.written or not _resumes(options):
        return options
    began = files.is_file(files.join(options.model_dir or "", FILE_NAME))
    return options.replace(defaults="data" if began else "published")


def _resumes(options: RunOptions) -> bool:
    return latest_checkpoint(options.model_dir or "") is not None


def complete(
    options: RunOptions,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    teacher: str = "",
) -> tuple[RunOptions, Kept]:
    """Fills in the options and hyper-parameters that are not set.

    Args:
        options: Options of the run, with the data's file patterns.
        config: Changed in place.
        strategy: The run's strategy.
        teacher: Network of `distill_from`, for which memory is left.

    Returns:
        The completed options, and what the run's folder should keep.
    """
    task = task_of_config(config)
    if _resumes(options):
        return _resumed(options, config)
    picks = Picks(options, config)
    facts = task.data_defaults.facts(options, config)
    num_photos = num_records(options.train_file_pattern or "") or 1
    facts = dataclasses.replace(facts, num_photos=num_photos)
    names = _choose_classes(picks, task, facts)
    picks.options = task.fit_to_data(picks.options, config)
    picks.options = count_images(picks.options, picks.options.val_file_pattern)
    machine = _machine(options, strategy)
    choose(picks, task, facts, names, machine, lambda n: _agreed(strategy, n), teacher)
    _log(picks, task)
    return picks.options, _kept(picks.options, picks.choices)


def _kept(options: RunOptions, choices: list[Choice]) -> Kept:
    return Kept({name: getattr(options, name) for name in _KEPT}, choices)


def _resumed(options: RunOptions, config: TrainingConfig) -> tuple[RunOptions, Kept]:
    """Does `complete` for a run that resumes."""
    kept = read_kept(options.model_dir or "")
    if kept is None:
        raise UserError(
            f"`defaults=data`: the run in {options.model_dir} did not begin with defaults from the "
            f"data (it has no {FILE_NAME}). Remove `defaults`, or choose another `model_dir`."
        )
    written = options.written
    options = task_of_config(config).fit_to_data(options, config)
    options = count_images(options, options.val_file_pattern)
    options = options.replace(
        **{name: value for name, value in kept.options.items() if name not in written}
    )
    own = ", ".join(f"{name}={getattr(options, name)}" for name in _KEPT)
    log.info(
        f"Options and hyper-parameters that are not set are those that this run began with, not "
        f"derived from the data again ({CONFIG_FILE}, {FILE_NAME}: {own})."
    )
    return options, _kept(options, kept.choices)


class Picks:
    """Options and hyper-parameters of a run, with the choices made for it.

    Args:
        options: Options of the run.
        config: Hyper-parameters, changed in place.
    """

    def __init__(self, options: RunOptions, config: TrainingConfig):
        self.options = options
        self.config = config
        self.choices: list[Choice] = []
        self._own = {field.name for field in dataclasses.fields(RunOptions)} - {"num_epochs"}

    def is_open(self, name: str) -> bool:
        """Whether an option or hyper-parameter exists and the user has not set it."""
        if name in self._own:
            return name not in self.options.written
        return hasattr(self.config, name) and not self.config.is_decided(name)

    def take(self, *choices: Choice) -> None:
        """Sets what is open, and notes it."""
        for choice in choices:
            if self.is_open(choice.name):
                self.put(choice)

    def put(self, choice: Choice) -> None:
        """Sets a value, and notes it."""
        if choice.name in self._own:
            self.options = self.options.replace(**{choice.name: choice.value})
        else:
            self.config.override(Recipe({choice.name: choice.value}))
        self.choices.append(choice)


def choose(
    picks: Picks,
    task: Task,
    facts: DataFacts,
    names: Mapping[int, str],
    machine: Machine,
    agree: Callable[[int], int] = int,
    teacher: str = "",
) -> None:
    """Chooses input, batch, length and recipe, in this order, each from those before it.

    Args:
        picks: Receives the choices.
        task: Task of the run.
        facts: The training data.
        names: Class id -> name.
        machine: Devices of the run.
        agree: Maps this worker's batch size to the one that all workers use.
        teacher: As in `complete`.
    """
    options, config, own = picks.options, picks.config, task.data_defaults
    start = CHECKPOINT if options.ckpt else BACKBONE if options.backbone_ckpt else RANDOM
    picks.take(*own.input_choices(facts, config, names, machine, start))
    if own.adam_rate is not None:
        _choose_length(picks, facts, start)
    images = config.num_epochs * picks.options.num_examples_per_epoch
    if picks.is_open("train_batch_size"):
        batch, reason = default_values.batch_size(
            min(facts.num_photos, picks.options.num_examples_per_epoch),
            images,
            machine,
            fixed_bytes=FIXED_BYTES,
            image_bytes=_image_bytes(own, config, teacher),
            micro_batches=config.gradient_accumulation,
        )
        picks.put(Choice("train_batch_size", agree(batch), reason))
    batch = picks.options.train_batch_size
    if picks.options.val_file_pattern and picks.options.eval_batch_size == 1:
        size = min(_EVAL_BATCH, batch)
        picks.take(Choice("eval_batch_size", size, "metrics do not depend on it"))
    steps = max(1, images // batch)
    if own.adam_rate is not None:
        _choose_recipe(picks, task, own.adam_rate, steps, start)
        short = steps < default_values.SHORT_RUN
        modern = task.recipes.get(MODERN_RECIPE)
        if modern and short and start != CHECKPOINT and not _names_recipe(picks.options):
            picks.take(*modern(config))
    picks.take(*own.learning_choices(facts, config, steps, start))


def _names_recipe(options: RunOptions) -> bool:
    """Whether the user chose a recipe, by `recipe` or as a file of `hparams`."""
    parts = read_overrides(options.hparams)
    return bool(options.recipe) or any(isinstance(part, Recipe) for part in parts)


def _choose_classes(picks: Picks, task: Task, facts: DataFacts) -> dict[int, str]:
    """Chooses `num_classes`; classes of the data take precedence over those of a recipe."""
    config, patterns = picks.config, picks.options.record_patterns.values()
    names = record_names(config, *patterns, of_masks=task.of_masks)
    if config.is_written("num_classes"):
        return names
    found = next(
        (own for p in patterns if (own := find_labels(p, of_masks=task.of_masks)) is not None), None
    )
    if names and (names == found or picks.is_open("num_classes")):
        source = "labels.json" if names == found else "label_map"
        number = task.data_defaults.num_classes(names)
        reason = f"{source}: {_listed(names)}"
        reason += " and the background" if task.counts_background else ""
        picks.put(Choice("num_classes", number, reason))
    elif facts.largest_class is not None and not names and picks.is_open("num_classes"):
        number = task.data_defaults.num_classes({facts.largest_class: ""})
        reason = f"the largest class id is {facts.largest_class}; there are no names"
        picks.put(Choice("num_classes", number, reason))
    return names


def _listed(names: Mapping[int, str]) -> str:
    shown = list(names.values())
    if len(shown) <= _SHOWN_NAMES:
        return ", ".join(shown)
    text = f"{len(shown)} names, {', '.join(shown[:3])}, ..."
    return text if max(names) <= len(shown) else f"{text}; the largest id is {max(names)}"


def _choose_length(picks: Picks, facts: DataFacts, start: str) -> None:
    photos = facts.num_photos
    passes, reason = default_values.passes_needed(photos, start)
    if not picks.is_open("num_epochs"):
        picks.take(Choice("num_examples_per_epoch", photos, "an epoch is one pass over the photos"))
        return
    if picks.is_open("num_examples_per_epoch"):
        each, epochs = default_values.epoch_length(passes)
        found = f"{photos:,} photos"
        if each > 1:
            found += f", {each} times each between two evaluations"
        picks.take(Choice("num_examples_per_epoch", each * photos, found))
    else:
        epochs = max(1, round(passes * photos / picks.options.num_examples_per_epoch))
    seen = epochs * picks.options.num_examples_per_epoch / photos
    picks.take(Choice("num_epochs", epochs, f"each photo is seen {seen:.3g} times: {reason}"))


def _choose_recipe(
    picks: Picks, task: Task, usual_rate: tuple[float, int], steps: int, start: str
) -> None:
    config, own = picks.config, task.data_defaults
    batch = picks.options.train_batch_size
    rate = None if picks.is_open("learning_rate") else config.learning_rate
    picks.take(Choice("optimizer", *default_values.optimizer(steps, rate)))
    adam = config.optimizer != "sgd"
    transfer = own.transfer.get(start, default_values.Transfer())
    if adam:
        picks.take(
            Choice("learning_rate", *default_values.adam_rate(batch, usual_rate, transfer.rate)),
            Choice("scale_learning_rate", False, "the rate is for this batch"),
        )
    elif task.usual_rate is not None:
        rate, usual = task.usual_rate
        value = default_values.two_digits(rate * batch / usual)
        picks.take(
            Choice("learning_rate", value, f"{rate:g} was published for batches of {usual}"),
            Choice("scale_learning_rate", False, "the rate is for this batch"),
        )
    elif config.scale_learning_rate:
        here = f"{adjusted_learning_rate(config.learning_rate, batch):.3g} for batches of {batch}"
        reason = f"as published, for batches of {REFERENCE_BATCH_SIZE}: {here}"
        picks.take(Choice("learning_rate", config.learning_rate, reason))
    epochs = steps * batch / picks.options.num_examples_per_epoch
    if adam:
        freeze_is_open = picks.is_open("freeze")
        picks.take(*default_values.transfer_choices(transfer, epochs, freeze_is_open))
    picks.take(
        *default_values.recipe_choices(
            steps,
            epochs,
            decay=config.moving_average_decay,
            momentum=config.bn_momentum if task.trains_batch_norm(config) else 0.0,
            adam=adam,
            warmup_init=config.lr_warmup_init,
        )
    )


def _image_bytes(own: DataDefaults, config: TrainingConfig, teacher: str) -> float:
    """Memory for each image of a micro-batch; 0: unknown."""
    of_student = own.image_bytes(config)
    return of_student and of_student + teacher_bytes(teacher, config)


def _machine(options: RunOptions, strategy: tf.distribute.Strategy) -> Machine:
    device = device_kind(strategy, on_cpu=options.cpu_replicas > 1)
    replicas = strategy.num_replicas_in_sync
    return Machine(device, replicas, free_bytes(device, local_replicas(strategy)))


def _agreed(strategy: tf.distribute.Strategy, batch: int) -> int:
    """The chief's batch size: workers may have different free memory."""
    return int(from_chief(strategy, float(batch)))


def _log(picks: Picks, task: Task) -> None:
    recipe = task.data_defaults.published_recipe
    other = f"`hparams={recipe}` or `defaults=published`" if recipe else "`defaults=published`"
    lines = [f"  {c.name}={_text(c.value)} ({c.reason})" for c in picks.choices]
    log.info(
        "\n".join([f"Defaults from the data; set any of them yourself, or use {other}:", *lines])
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "*".join(map(_text, value)) if isinstance(value, list) else str(value)
