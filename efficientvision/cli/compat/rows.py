"""The flags of EdgeNets' training and test scripts, a row each: what they become here."""

from __future__ import annotations

from typing import NamedTuple

from efficientvision.cli.compat import conversions as to


class Row(NamedTuple):
    """One flag.

    Attributes:
        flag: Its name, with underscores.
        tasks: The tasks whose scripts have it.
        becomes: What it sets: `--name`, a flag of `main.py`; `name`, a hyper-parameter;
            `name=value`, a hyper-parameter with a fixed value. `--weights` stands for `--ckpt` in
            training and `--model_dir` in evaluation.
        convert: How its words become the value, or why it is refused or does nothing.
    """

    flag: str
    tasks: tuple[str, ...]
    becomes: str
    convert: to.Convert


_C, _S, _D = ("classification",), ("segmentation",), ("detection",)
TASKS = (*_C, *_S, *_D)
ROWS = (
    Row("model", TASKS, "--model_name", to.network),
    Row("s", TASKS, "--model_name", to.network),
    Row("model_width", TASKS, "build_size", to.build_size),
    Row("model_height", TASKS, "build_size", to.build_size),
    Row("data", _C, "--data_dir", to.value),
    Row("data_path", _S + _D, "--data_dir", to.value),
    Row("coco_path", _S, "--train_file_pattern", to.training_records),
    Row("coarse", _S, "--train_file_pattern", to.training_records),
    Row("split", _S, "--val_file_pattern --testdev_dir", to.split),
    Row("batch_size", _C + _D, "--train_batch_size --eval_batch_size", to.value),
    Row("batch_size", _S, "--train_batch_size", to.value),
    Row("epochs", TASKS, "--num_epochs", to.value),
    Row("start_epoch", _C, "", to.start_epoch),
    Row("savedir", _C + _S, "--model_dir", to.value),
    Row("save", _D, "--model_dir", to.value),
    Row("resume", TASKS, "--model_dir", to.resume),
    Row("weights", _C, "--weights", to.value),
    # A backbone's: what else is given decides, see `published.choose_weights`.
    Row("weights", _D, "", to.value),
    Row("finetune", _C, "--weights", to.imagenet_weights),
    Row("finetune", _S + _D, "--weights", to.value_unless_empty),
    Row("weights_test", _S + _D, "--weights", to.value_unless_empty),
    Row("lr", TASKS, "learning_rate scale_learning_rate=false", to.value),
    Row("lr_mult", _S + _D, "lr_mult", to.value),
    Row("scheduler", _C + _S, "lr_decay_method", to.value),
    Row("lr_type", _D, "lr_decay_method", to.value),
    Row("clr_max", TASKS, "clr_max", to.value),
    Row("cycle_len", _S + _D, "cycle_len", to.value),
    Row("steps", _C + _D, "lr_steps", to.several),
    Row("step_size", _S, "lr_steps", to.list_of_one),
    Row("lr_decay", _C + _S, "lr_decay", to.value),
    Row("gamma", _D, "lr_decay", to.value),
    Row("power", _S + _D, "lr_power", to.value),
    Row("momentum", TASKS, "momentum", to.value),
    Row("weight_decay", _C + _S, "weight_decay", to.value),
    Row("wd", _D, "weight_decay", to.value),
    Row("freeze_bn", _S, "freeze_bn=true", to.switch),
    Row("freeze_bn", _D, "is_training_bn=false", to.switch),
    Row("loss_type", _S, "loss_type", to.value),
    Row("scale", _C, "crop_scale", to.several),
    Row("inpSize", _C, "image_size", to.value),
    Row("crop_size", _S, "image_size", to.size),
    Row("im_size", _S, "image_size", to.size),
    Row("im_size", _D, "image_size", to.value),
    Row("num_classes", _C, "num_classes", to.value),
    Row(
        "num_classes",
        _S,
        "",
        to.no_effect(
            "the classes are those of --dataset or of the records, as in EdgeNets; "
            "--hparams=num_classes=N sets another number"
        ),
    ),
    Row(
        "ignore_idx",
        _S,
        "",
        to.only(
            "255",
            "records mark ignored pixels with 255. Create them with "
            "dataset/create_segmentation_tfrecord.py --ignore_label={value}",
        ),
    ),
    Row("channels", TASKS, "", to.only("3", "images have 3 channels here, grey ones too")),
    Row("workers", TASKS, "", to.no_effect("all free processors read images")),
    Row("exp_type", _C, "", to.no_effect("the results folder is --savedir, unchanged")),
)
# Task -> flag -> its row.
BY_TASK = {task: {row.flag: row for row in ROWS if task in row.tasks} for task in TASKS}
NAMES = frozenset(row.flag for row in ROWS)
