"""What a training run is made of, from flags: configuration, class names, task, trainer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import flags

from efficientvision import files
from efficientvision.api import build_from_config
from efficientvision.cli import evaluation_views, testdev
from efficientvision.configs import DetectionConfig, config_from_yaml, get_config
from efficientvision.data import data_folder
from efficientvision.data.labels import find_labels, labels_text, resolve_label_map
from efficientvision.data.preflight.class_checks import check_classes
from efficientvision.data.record_files import match_files
from efficientvision.data.service import check_service
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE, LABELS_FILE
from efficientvision.tasks.detection import DetectionTask
from efficientvision.training import schedules
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.training.freezing import freeze_parts
from efficientvision.training.observer import Observer
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.trainer import Trainer
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
    """Raises UserError for flags that are missing or exclude each other; opens no file."""
    if not given.model_dir:
        raise UserError("--model_dir is missing: the folder for checkpoints and logs.")
    if given.mode == "report":
        return
    if given.mode != "eval":
        if not given.train_file_pattern and not given.data_dir:
            raise UserError("--train_file_pattern is missing: the training TFRecords.")
        if given.backbone_ckpt and given.ckpt:
            raise UserError(
                "--ckpt and --backbone_ckpt exclude each other: the first starts from a whole "
                "detector, the second from a classifier's backbone."
            )
        if given.tf_data_service and given.deterministic:
            raise UserError(
                "--tf_data_service and --deterministic exclude each other: the service's machines "
                "deliver examples as they get ready, in another order each time."
            )
    if _evaluates(given) and not given.val_file_pattern and not given.data_dir:
        raise UserError("--val_file_pattern is missing: the TFRecords to evaluate on.")
    testdev.check_flags(given)
    evaluation_views.check_flags(given)
    for name in ("train_batch_size", "eval_batch_size", "num_examples_per_epoch", "eval_samples"):
        if given[name].value is not None and given[name].value < 1:
            raise UserError(f"--{name} must be at least 1, got {given[name].value}.")


def _evaluates(given: flags.FlagValues) -> bool:
    return given.mode != "train" or given.eval_after_train


def find_data(given: flags.FlagValues) -> None:
    """Fills the flags that name data from `--data_dir`, and makes sure that the files are there.

    Raises:
        UserError: Files are missing, or the tf.data service is.
    """
    if given.data_dir:
        found = data_folder.find_data(given.data_dir)
        for flag, value, needed in (
            ("train_file_pattern", found.training_records, given.mode != "eval"),
            ("val_file_pattern", found.evaluation_records, _evaluates(given)),
        ):
            if not given[flag].value:
                given[flag].value = value
            if needed and not given[flag].value:
                raise UserError(
                    f"--data_dir={given.data_dir} holds no files "
                    f"{flag.partition('_')[0]}*.tfrecord; name yours with --{flag}."
                )
        if not given.val_json_file and given.val_file_pattern == found.evaluation_records:
            given["val_json_file"].value = found.ground_truth_json
        print(
            f"Data in {given.data_dir}: training {given.train_file_pattern}, evaluation "
            f"{given.val_file_pattern}, its ground truth "
            f"{given.val_json_file or 'in these records'}."
        )
    for pattern in filter(None, (given.train_file_pattern, given.val_file_pattern)):
        match_files(pattern)
    if given.mode != "eval" and given.tf_data_service:
        check_service(given.tf_data_service)
    json_file = given.val_json_file
    if json_file and not given.testdev_dir and not files.is_file(json_file):
        raise UserError(f"--val_json_file={json_file} does not exist.")


def training_config(given: flags.FlagValues) -> DetectionConfig:
    """The configuration of a training run.

    From the model's defaults, `--hparams`, the flags that are hyper-parameters, and, where these
    leave the architecture open, from the run that is continued or the checkpoint to start from.
    """
    config = get_config(given.model_name, given.hparams)
    for flag, key in (("num_epochs", "num_epochs"), ("strategy", "strategy"), ("seed", "seed")):
        if given[flag].value is not None:
            config.override({key: given[flag].value})
    own = files.join(given.model_dir, CONFIG_FILE)
    if files.is_file(own) and latest_checkpoint(given.model_dir) is not None:
        saved = config_from_yaml(own)
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
    if config.early_stopping_patience and (given.mode != "train_and_eval" or given.testdev_dir):
        raise UserError(
            f"early_stopping_patience={config.early_stopping_patience} counts evaluations: it "
            "needs --mode=train_and_eval, without --testdev_dir."
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
    """The task of the flags' data; an evaluation's classes are held against the network's.

    Before training, the preflight does that.
    """
    if given.mode == "eval":
        check_classes(given.val_file_pattern, config.num_classes, names)
    return DetectionTask(
        config,
        training_files=given.train_file_pattern,
        evaluation_files=given.val_file_pattern,
        ground_truth_json=None if given.testdev_dir else given.val_json_file,
        class_names=names,
        evaluation_images=given.eval_samples,
        fake_data=given.use_fake_data,
        testdev_dir=given.testdev_dir,
        testdev_info_file=given.testdev_info_file,
        views=evaluation_views.build_views(given, config),
        data_service=given.tf_data_service or None,
    )


def training_plan(given: flags.FlagValues, config: DetectionConfig) -> TrainingPlan:
    """How long the flags let a run train."""
    return TrainingPlan(
        batch_size=given.train_batch_size,
        examples_per_epoch=given.num_examples_per_epoch,
        num_epochs=config.num_epochs,
        save_every=given.save_checkpoints_steps,
        steps_per_call=given.iterations_per_loop,
    )


def learning_rates(config: DetectionConfig, plan: TrainingPlan) -> schedules.WarmupSchedule:
    """The learning rate of every step of a run."""
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
    )


def build_trainer(
    given: flags.FlagValues,
    config: DetectionConfig,
    task: DetectionTask,
    strategy: tf.distribute.Strategy,
    plan: TrainingPlan,
    schedule: schedules.WarmupSchedule,
    observers: Sequence[Observer] = (),
) -> Trainer:
    """The trainer of a run, with random weights; says how the learning rate will go."""
    keras.utils.set_random_seed(config.seed)
    if given.deterministic:
        tf.config.experimental.enable_op_determinism()
    print(learning_rate_message(config, schedule, plan))
    return Trainer(
        task,
        lambda: _build_network(config),
        plan=plan,
        schedule=schedule,
        model_dir=given.model_dir,
        strategy=strategy,
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
        micro_batches=config.gradient_accumulation,
        scale_loss=config.dtype_policy == "mixed_float16",
        on_nan=given.on_nan,
        # On a TPU the strategy compiles the step.
        use_xla=given.use_xla and not isinstance(strategy, tf.distribute.TPUStrategy),
        eval_batch_size=given.eval_batch_size,
        profile=given.profile,
        observers=observers,
    )


def _build_network(config: DetectionConfig) -> keras.Model:
    model = build_from_config(config)
    freeze_parts(model, config.freeze)
    return model


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


def write_sidecars(model_dir: str, config: DetectionConfig, names: dict[int, str]) -> None:
    """Writes `config.yaml` and, where there are class names, `labels.json` into the folder."""
    files.write_text(files.join(model_dir, CONFIG_FILE), config.to_yaml())
    if names:
        files.write_text(files.join(model_dir, LABELS_FILE), labels_text(names))
