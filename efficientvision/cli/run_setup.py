"""What a training run is made of, from flags: configuration, class names, first weights."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import tensorflow as tf
from absl import flags

from efficientvision.api import build_from_config, load_weights
from efficientvision.configs import DetectionConfig, config_from_yaml, get_config
from efficientvision.data.checks import check_classes
from efficientvision.data.labels import find_labels, labels_text, resolve_label_map
from efficientvision.data.record_files import match_files, write_text
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE, LABELS_FILE
from efficientvision.tasks.detection import DetectionTask
from efficientvision.training import schedules
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.training.distribution import build_strategy
from efficientvision.training.trainer import Trainer, TrainingPlan
from efficientvision.weights.identify import apply_checkpoint_architecture, identify

# What a checkpoint that was given at the start of a run decided, and its continuation keeps.
_ARCHITECTURE = (
    "fpn_name",
    "fpn_weight_method",
    "fpn_cell_repeats",
    "fpn_num_filters",
    "box_class_repeats",
    "num_classes",
    "num_scales",
    "aspect_ratios",
)


def check_flags(given: flags.FlagValues) -> None:
    """Raises UserError for flags that are missing or exclude each other."""
    if not given.model_dir:
        raise UserError("--model_dir is missing: the folder for checkpoints and logs.")
    if given.mode != "eval":
        if not given.train_file_pattern:
            raise UserError("--train_file_pattern is missing: the training TFRecords.")
        if given.backbone_ckpt and given.ckpt:
            raise UserError(
                "--ckpt and --backbone_ckpt exclude each other: the first starts from a whole "
                "detector, the second from a classifier's backbone."
            )
        match_files(given.train_file_pattern)
    if (given.mode != "train" or given.eval_after_train) and not given.val_file_pattern:
        raise UserError("--val_file_pattern is missing: the TFRecords to evaluate on.")
    if given.val_file_pattern:
        match_files(given.val_file_pattern)
    json_file = given.val_json_file
    if json_file and not given.testdev_dir and not os.path.isfile(json_file):
        raise UserError(f"--val_json_file={json_file} does not exist.")
    for name in ("train_batch_size", "eval_batch_size", "num_examples_per_epoch", "eval_samples"):
        if given[name].value is not None and given[name].value < 1:
            raise UserError(f"--{name} must be at least 1, got {given[name].value}.")


def training_config(given: flags.FlagValues) -> DetectionConfig:
    """The configuration of a training run.

    From the model's defaults, `--hparams`, the flags that are hyper-parameters, and, where these
    leave the architecture open, from the run that is continued or the checkpoint to start from.
    """
    config = get_config(given.model_name, given.hparams)
    for flag, key in (("num_epochs", "num_epochs"), ("strategy", "strategy"), ("seed", "seed")):
        if given[flag].value is not None:
            config.override({key: given[flag].value})
    own = Path(given.model_dir) / CONFIG_FILE
    if own.is_file() and latest_checkpoint(given.model_dir) is not None:
        saved = config_from_yaml(str(own))
        if saved.name != config.name:
            raise UserError(
                f"{given.model_dir} holds a run of {saved.name}, and --model_name={config.name}: "
                "choose another --model_dir."
            )
        for key in _ARCHITECTURE:
            if not config.is_set(key) and getattr(config, key) != getattr(saved, key):
                config.override({key: saved.as_dict()[key]})
    elif given.ckpt:
        for line in apply_checkpoint_architecture(config, identify(given.ckpt)):
            print(line)
    if "segmentation" in config.heads:
        raise UserError(
            "heads names segmentation, which main.py cannot train in this version (it builds, "
            "loads and runs): train with heads=object_detection."
        )
    return config


def class_names(config: DetectionConfig, *patterns: str | None) -> dict[int, str]:
    """Names by class: the configuration's `label_map`, else the `labels.json` of the records."""
    named = resolve_label_map(config.label_map)
    for pattern in patterns:
        if named is None and pattern:
            named = find_labels(pattern)
    return named or {}


def build_task(
    given: flags.FlagValues, config: DetectionConfig, names: dict[int, str]
) -> DetectionTask:
    """The task of the flags' data, after a look at whether its classes fit the network."""
    patterns = [given.val_file_pattern]
    if given.mode != "eval":
        patterns.insert(0, given.train_file_pattern)
    for pattern in filter(None, patterns):
        check_classes(pattern, config.num_classes)
    return DetectionTask(
        config,
        training_files=given.train_file_pattern,
        evaluation_files=given.val_file_pattern,
        ground_truth_json=None if given.testdev_dir else given.val_json_file,
        class_names=names,
        evaluation_images=given.eval_samples,
        fake_data=given.use_fake_data,
        testdev_dir=given.testdev_dir,
    )


def build_trainer(given: flags.FlagValues, config: DetectionConfig, task: DetectionTask) -> Trainer:
    """The trainer of a run, with random weights; says how the learning rate will go."""
    # Not 0: TensorFlow cannot combine a global seed of 0 with the pipeline's seeds (tensors).
    keras.utils.set_random_seed(config.seed + 1)
    if given.deterministic:
        tf.config.experimental.enable_op_determinism()
    plan = TrainingPlan(
        batch_size=given.train_batch_size,
        examples_per_epoch=given.num_examples_per_epoch,
        num_epochs=config.num_epochs,
        save_every=given.save_checkpoints_steps,
        steps_per_call=given.iterations_per_loop,
    )
    schedule = schedules.build_schedule(
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
    )
    print(learning_rate_message(config, schedule, plan))
    return Trainer(
        task,
        lambda: build_from_config(config),
        plan=plan,
        schedule=schedule,
        model_dir=given.model_dir,
        strategy=build_strategy(config.strategy),
        optimizer={
            "name": config.optimizer,
            "momentum": config.momentum,
            "beta_1": config.adam_beta1,
            "beta_2": config.adam_beta2,
            "epsilon": config.adam_epsilon,
        },
        weight_decay=config.weight_decay,
        clip_norm=config.clip_gradients_norm,
        moving_average_decay=config.moving_average_decay,
        freeze_pattern=config.var_freeze_expr,
        seed=config.seed,
        use_xla=given.use_xla,
        eval_batch_size=given.eval_batch_size,
        profile=given.profile,
    )


def learning_rate_message(
    config: DetectionConfig, schedule: schedules.WarmupSchedule, plan: TrainingPlan
) -> str:
    """One sentence on where the learning rate begins, peaks and how it falls."""
    scaled = (
        f"learning_rate={config.learning_rate:g} is for batches of 64; at "
        f"{plan.batch_size} it is {schedule.peak:g}"
        if config.scale_learning_rate
        else f"{schedule.peak:g} at any batch (scale_learning_rate=false)"
    )
    return (
        f"Learning rate: {scaled}. {config.optimizer}, {plan.total_steps} steps of "
        f"{plan.batch_size} images: {schedule.warmup_steps} steps of warm-up from "
        f"{schedule.warmup_init:g}, then {config.lr_decay_method}."
    )


def initialize(trainer: Trainer, given: flags.FlagValues, config: DetectionConfig) -> None:
    """Gives the network its first weights.

    The order: the newest checkpoint of this run in `--model_dir`; else `--ckpt`; else the
    backbone of `--backbone_ckpt`; else random weights.
    """
    step = trainer.resume()
    if step:
        print(f"Going on from step {step} of {trainer.plan.total_steps} in {given.model_dir}.")
        return
    if given.ckpt:
        load_weights(
            trainer.model,
            given.ckpt,
            exclude=config.var_exclude_expr,
            allow_class_head_mismatch=config.skip_mismatch,
        )
    elif given.backbone_ckpt:
        load_weights(trainer.model, given.backbone_ckpt, parts=["backbone"])
    else:
        print("Training from scratch: neither --ckpt nor --backbone_ckpt is given.")
    trainer.state.averages.reset()


def write_sidecars(model_dir: str, config: DetectionConfig, names: dict[int, str]) -> None:
    """Writes `config.yaml` and, where there are class names, `labels.json` into the folder."""
    write_text(os.path.join(model_dir, CONFIG_FILE), config.to_yaml())
    if names:
        write_text(os.path.join(model_dir, LABELS_FILE), labels_text(names))
