"""Sets up a training run from its options: configuration, class names, task, trainer."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import keras
import tensorflow as tf

from efficientvision import files
from efficientvision.api import build_from_config
from efficientvision.configs import TrainingConfig
from efficientvision.configs.overrides import Recipe
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import match_files
from efficientvision.data.service import check_service
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export, load_export
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.registry import task_of
from efficientvision.runs import data_source, distillation, run_data, start
from efficientvision.runs.first_weights import fit_to_start
from efficientvision.runs.seed_checks import check_seeds
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import (
    config_from_yaml,
    find_task,
    get_config,
    model_and_task,
    task_of_config,
    task_of_export,
)
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training import schedules
from efficientvision.training.callbacks import Callback
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.training.freezing import freeze_parts, set_backbone_norms
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.trainer import Trainer
from efficientvision.weights.hub import with_local_paths
from efficientvision.weights.hub_address import is_hub_address
from efficientvision.weights.identify import Identified, identify

log = logging.getLogger(__name__)

_COUNTS = (
    *("train_batch_size", "eval_batch_size", "num_examples_per_epoch", "eval_samples"),
    *("save_checkpoints_steps", "iterations_per_loop", "cpu_replicas"),
)


def check_options(options: RunOptions) -> RunOptions:
    """Checks and completes the options; opens no file but a checkpoint to evaluate.

    Checkpoints on the hub are downloaded.

    Raises:
        UserError: Options are missing or exclude each other.
    """
    if options.mode not in ("eval", "report") and is_hub_address(options.model_dir):
        raise UserError(
            f"`model_dir={options.model_dir}` is an address on the hub, but a run is written to a "
            "folder: train in a folder, then publish it with `efficientvision push`."
        )
    check_seeds(options)
    paths = ["start_from", "ckpt", "backbone_ckpt", "distill_from"]
    if options.mode == "eval" or is_hub_address(options.model_dir):
        paths.append("model_dir")
    options = with_local_paths(options, *paths)
    if options.mode == "eval" and options.ckpt:
        if options.model_dir:
            raise UserError(
                f"`mode=eval` evaluates one model, but `ckpt={options.ckpt}` and "
                f"`model_dir={options.model_dir}` name two: remove one."
            )
        options = options.replace(model_dir=options.ckpt)
    if not options.model_dir:
        raise UserError("`model_dir` is missing: set it to the folder for checkpoints and logs.")
    if options.mode == "report":
        return options
    data_source.check_options(options)
    start.check_options(options)
    if options.mode != "eval":
        if not options.train_file_pattern and not options.data_dir:
            raise UserError(
                "`train_file_pattern` is missing: set it to the training TFRecords, or `data_dir` "
                "to a folder of labelled photos."
            )
        if options.tf_data_service and options.deterministic:
            raise UserError(
                "`tf_data_service` and `deterministic` exclude each other: the service's machines "
                "deliver examples as they become ready, in a different order each time. Remove one."
            )
    elif options.distill_from:
        raise UserError("`distill_from` is for training; `mode=eval` has no teacher: remove it.")
    if _evaluates(options) and not options.val_file_pattern and not options.data_dir:
        raise UserError(
            "`val_file_pattern` is missing: set it to the TFRecords to evaluate on, or `data_dir` "
            "to a folder of labelled photos."
        )
    task_of_run(options).check_options(options)
    for name in _COUNTS:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"`{name}` must be at least 1, got {value}.")
    return options


def _own_config(options: RunOptions) -> str | None:
    """Returns the `config.yaml` beside the model to evaluate, if there is one."""
    path = files.join(run_folder_of(options.model_dir), CONFIG_FILE)
    return path if options.mode == "eval" and files.is_file(path) else None


def task_of_run(options: RunOptions) -> Task:
    """Returns the task of the options, or of the run or checkpoint to evaluate."""
    own = _own_config(options)
    is_unsaid = not options.task and "model_name" not in options.written
    if options.mode == "eval" and own is None and is_unsaid:
        found = _identified(options.model_dir)
        if found.model is not None:
            return find_task(found.task or task_of(found.model), found.model)
    name, task = model_and_task(options, own)
    return find_task(task, name)


def _identified(path: str | None) -> Identified:
    """Identifies the network of a checkpoint; of anything else nothing is known."""
    try:
        return identify(path) if path and not is_export(path) else Identified()
    except UserError:
        return Identified()


def task_of_data(options: RunOptions) -> Task:
    """Returns the task whose labels `data_dir` has: that of an exported model is in the file."""
    is_unsaid = not options.task and "model_name" not in options.written
    if options.mode == "eval" and is_unsaid and is_export(options.model_dir):
        return task_of_export(load_export(options.model_dir, trust=options.trust)[1])
    return task_of_run(options)


def _evaluates(options: RunOptions) -> bool:
    return options.mode != "train" or options.eval_after_train


def find_data(options: RunOptions) -> RunOptions:
    """Fills in data options from `data_dir`, and checks that the files exist.

    Raises:
        UserError: Files, or the tf.data service, are missing.
    """
    options = run_data.as_the_run(options)
    options = data_source.locate(options, lambda: task_of_data(options))
    for name, needed in (
        ("train_file_pattern", options.mode != "eval"),
        ("val_file_pattern", _evaluates(options)),
    ):
        if needed and not getattr(options, name):
            raise UserError(
                f"`data_dir={options.data_dir}` has no {name.partition('_')[0]} part: "
                f"{_instead(name, options)}."
            )
    for pattern in options.record_patterns.values():
        match_files(pattern)
    if options.mode != "eval" and options.tf_data_service:
        check_service(options.tf_data_service)
    json_file = options.val_json_file
    if json_file and not options.testdev_dir and not files.is_file(json_file):
        raise UserError(f"`val_json_file={json_file}` does not exist.")
    return options


def _instead(pattern: str, options: RunOptions) -> str:
    """Says what to do if the data has no photos to train on, or to validate on."""
    if pattern == "train_file_pattern":
        return "add photos to train on, or set `train_file_pattern`"
    if options.val_fraction == 0:
        return "remove `val_fraction=0`, which holds out nothing"
    if options.mode == "eval":
        return "`eval_part=test` evaluates on its test part, if it has one"
    return "set `val_file_pattern`, or train without evaluation (`mode=train`)"


def training_config(options: RunOptions) -> TrainingConfig:
    """Returns the configuration of a training run.

    Combines the model's defaults, `dataset`, `hparams` and options that are hyper-parameters. Where
    these leave the architecture open, it comes from the resumed run or the initial checkpoint.
    """
    task = task_of_run(options)
    saved = _saved_config(options)
    changes = Recipe(task.dataset_changes(options) or {})
    config = get_config(
        options.model_name,
        changes,
        Recipe(saved.as_dict()) if saved and options.defaults == "data" else None,
        options.hparams,
        options.hyper_parameters,
        task=options.task or None,
    )
    for key in ("num_epochs", "strategy", "seed"):
        if (value := getattr(options, key)) is not None:
            config.override({key: value})
    if saved is not None:
        for key in (*task.architecture, "mean_rgb", "stddev_rgb"):
            if not config.is_set(key) and getattr(config, key) != getattr(saved, key):
                config.override({key: saved.as_dict()[key]})
        for key, compared in (("optimizer", "optimizer"), ("image_size", "image_hw")):
            if getattr(saved, compared) != getattr(config, compared):
                before, now = getattr(saved, key), getattr(config, key)
                log.info(f"{key} is {now} from now on; this run began with {key}={before}.")
    else:
        for line in fit_to_start(config, options):
            log.info(line)
    task.check_config(options, config)
    distillation.check_options(options, config)
    return config


def _saved_config(options: RunOptions) -> TrainingConfig | None:
    """Returns the configuration of the run that the options resume, or None.

    Raises:
        UserError: That run trains a different model.
    """
    path = files.join(options.model_dir, CONFIG_FILE)
    if not files.is_file(path) or latest_checkpoint(options.model_dir) is None:
        return None
    saved = config_from_yaml(path)
    name, task = model_and_task(options)
    if (saved.name, saved.task) != (name, task):
        raise UserError(
            f"{options.model_dir} contains a run of {saved.name} ({saved.task}), not of "
            f"`model_name={name}` ({task}): choose another `model_dir`."
        )
    return saved


def check_early_stopping(options: RunOptions, config: TrainingConfig) -> None:
    """Raises UserError if early stopping has no evaluations to count."""
    if config.early_stopping_patience and (options.mode != "train_and_eval" or options.testdev_dir):
        raise UserError(
            f"early_stopping_patience={config.early_stopping_patience} counts evaluations: use "
            "it with `mode=train_and_eval` and without `testdev_dir`."
        )


def class_names(config: TrainingConfig, *patterns: str | None) -> dict[int, str]:
    """Returns names by class; see `tasks.setup.record_names`."""
    return task_of_config(config).class_names(config, *patterns)


def build_task(options: RunOptions, config: TrainingConfig, names: dict[int, str]) -> TrainingTask:
    """Builds the training task of the options' data; see `Task.build_task`."""
    return task_of_config(config).build_task(options, config, names)


def training_plan(options: RunOptions, config: TrainingConfig) -> TrainingPlan:
    """Builds the plan of a run: its length, and what it saves where."""
    return TrainingPlan(
        batch_size=options.train_batch_size,
        examples_per_epoch=options.num_examples_per_epoch,
        num_epochs=config.num_epochs,
        model_dir=options.model_dir,
        save_every=options.save_checkpoints_steps,
        steps_per_call=options.iterations_per_loop,
        eval_batch_size=options.eval_batch_size,
        profile=options.profile,
    )


def learning_rates(config: TrainingConfig, plan: TrainingPlan) -> schedules.Schedule:
    """Builds the learning-rate schedule of a run."""
    return schedules.build_schedule(
        method=config.lr_decay_method,
        learning_rate=config.learning_rate,
        scale=config.scale_learning_rate,
        batch_size=plan.batch_size,
        steps_per_epoch=plan.examples_per_epoch / plan.batch_size,
        num_epochs=config.num_epochs,
        warmup_epochs=config.lr_warmup_epoch,
        warmup_init=config.lr_warmup_init,
        first_drop_epoch=config.first_lr_drop_epoch,
        second_drop_epoch=config.second_lr_drop_epoch,
        power=config.poly_lr_power,
        clr_max=config.clr_max,
        cycle_len=config.cycle_len,
        lr_steps=config.lr_steps,
        lr_decay=config.lr_decay,
        lr_power=config.lr_power,
    )


def build_trainer(
    options: RunOptions,
    config: TrainingConfig,
    task: TrainingTask,
    strategy: tf.distribute.Strategy,
    plan: TrainingPlan,
    schedule: schedules.Schedule,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """Builds the trainer of a run, with random weights; logs the learning-rate schedule."""
    keras.utils.set_random_seed(config.seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    log.info(learning_rate_message(config, schedule, plan))
    recipe = training_recipe(options, config, hold_steps(config, plan))
    if isinstance(strategy, tf.distribute.TPUStrategy):
        recipe = dataclasses.replace(recipe, use_xla=False)  # The strategy compiles the step.
    return Trainer(
        task,
        lambda: _build_network(config),
        plan,
        schedule,
        recipe,
        callbacks,
        strategy=strategy,
    )


def hold_steps(config: TrainingConfig, plan: TrainingPlan) -> int:
    """Returns the step at which `unfreeze_epoch` begins, 0 if it is not set.

    Raises:
        UserError: Nothing is frozen.
    """
    if config.unfreeze_epoch is None:
        return 0
    if not config.freeze:
        raise UserError(
            f"unfreeze_epoch={config.unfreeze_epoch:g} has no effect without freeze: set "
            "freeze=backbone, or remove unfreeze_epoch."
        )
    # As `TrainingPlan.epoch_end`; of a fraction of an epoch, the nearest step.
    return max(1, int(config.unfreeze_epoch * plan.examples_per_epoch / plan.batch_size + 1e-6))


def training_recipe(
    options: RunOptions, config: TrainingConfig, hold_steps: int = 0
) -> TrainingRecipe:
    """Builds the settings of the training step."""
    return TrainingRecipe(
        optimizer=config.optimizer,
        momentum=config.momentum,
        beta_1=config.adam_beta1,
        beta_2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        weight_decay=config.weight_decay,
        decay_all=config.weight_decay_all,
        rate_factor=task_of_config(config).rate_factor(config),
        layer_decay=config.layer_decay,
        held_parts=config.freeze if hold_steps else (),
        hold_steps=hold_steps,
        clip_norm=config.clip_gradients_norm,
        moving_average_decay=config.moving_average_decay,
        freeze_pattern=config.var_freeze_expr,
        micro_batches=config.gradient_accumulation,
        scale_loss=config.dtype_policy == "mixed_float16",
        on_nan=options.on_nan,
        use_xla=options.use_xla,
        seed=config.seed,
    )


def _build_network(config: TrainingConfig) -> keras.Model:
    model = build_from_config(config)
    if config.unfreeze_epoch is None:
        freeze_parts(model, config.freeze)
    set_backbone_norms(model, config.backbone_bn)
    task_of_config(config).freeze_layers(model, config)
    return model


def learning_rate_message(
    config: TrainingConfig, schedule: schedules.Schedule, plan: TrainingPlan
) -> str:
    """Describes in one sentence where the learning rate starts, peaks and ends."""
    last = float(schedule(plan.total_steps - 1))
    rate = (
        f"learning_rate={config.learning_rate:g} is for batches of 64; at "
        f"{plan.batch_size} it is {schedule.base:g}"
        if config.scale_learning_rate
        else f"{schedule.base:g} at any batch size (scale_learning_rate=false)"
    )
    if schedule.peak > schedule.base:
        rate += f", up to {schedule.peak:g} after each restart"
    warmup = (
        f"{schedule.warmup_steps} steps of warm-up from {schedule.warmup_init:g}, then "
        if schedule.warmup_steps
        else "no warm-up, "
    )
    return (
        f"Learning rate: {rate}. {config.optimizer}, {plan.total_steps} steps of "
        f"{plan.batch_size} images: {warmup}{config.lr_decay_method}, {last:.3g} at the last step."
    )
