"""The options of a run in the groups of the help of `train` and `evaluate`."""

from __future__ import annotations

from efficientvision.cli.commands.base import grouped
from efficientvision.cli.flags import FlagSpec
from efficientvision.configs.run_options import RunOptions, option_fields

_DATA = (
    *("data_format", "val_fraction", "split_seed", "background", "data_cache"),
    *("train_file_pattern", "val_file_pattern", "val_json_file", "dataset", "tf_data_service"),
)
_TRAINING = (
    *("model_dir", "num_epochs", "hparams", "defaults", "recipe", "task", "mode", "start_from"),
    *("ckpt", "backbone_ckpt", "distill_from", "train_batch_size", "num_examples_per_epoch"),
    *("seed", "seeds", "deterministic", "save_checkpoints_steps", "eval_batch_size"),
    *("eval_samples",),
)
_DEVICES = (
    *("strategy", "tpu", "use_tpu", "tpu_zone", "gcp_project", "num_cores", "cpu_replicas"),
    *("restarts", "join_timeout", "heartbeat_port", "use_xla", "iterations_per_loop"),
)
_CHECKS = (
    *("preflight", "on_bad_record", "on_nan", "log_to", "eval_name", "profile", "use_fake_data"),
)
_ONLY_EVALUATION = (
    *("testdev_dir", "testdev_info_file", "test_flip", "test_scales", "test_merge"),
    *("test_iou_thresh", "min_eval_interval", "eval_timeout", "eval_part", "trust"),
)
_EVALUATION_DEVICES = ("strategy", "tpu", "use_tpu", "tpu_zone", "gcp_project", "num_cores")
# DATA and MODEL; an evaluation while training is what `mode` is for.
_NEVER = ("data_dir", "model_name", "eval_after_train")


def training_groups() -> dict[str, dict[str, FlagSpec]]:
    """The options of `train`."""
    groups = {
        "Data": _DATA,
        "Training": _TRAINING,
        "Devices": _DEVICES,
        "Checks and logs": _CHECKS,
    }
    return grouped(RunOptions, groups, (*_ONLY_EVALUATION, *_NEVER))


def evaluation_groups() -> dict[str, dict[str, FlagSpec]]:
    """The options of `evaluate`."""
    groups = {
        "Data": ("data_format", "val_fraction", "split_seed", "background", "data_cache")
        + ("val_json_file", "dataset", "on_bad_record", "eval_samples"),
        "Model": ("model_name", "task", "hparams", "trust"),
        "Evaluation": ("eval_batch_size", *_ONLY_EVALUATION[:-1], "eval_name"),
        "Devices": _EVALUATION_DEVICES,
    }
    shown = {name for names in groups.values() for name in names}
    return grouped(RunOptions, groups, {*_DATA, *_TRAINING, *_DEVICES, *_CHECKS, *_NEVER} - shown)


def comparison_groups() -> dict[str, dict[str, FlagSpec]]:
    """The options of `compare`."""
    groups = {
        "Data": (
            *("data_format", "val_fraction", "split_seed", "background", "data_cache"),
            *("val_json_file", "on_bad_record", "eval_samples", "eval_part"),
        ),
        "Evaluation": ("eval_batch_size",),
        "Devices": _EVALUATION_DEVICES,
    }
    shown = {name for names in groups.values() for name in names}
    everything = {field.name for field in option_fields(RunOptions)}
    found = grouped(RunOptions, groups, everything - shown)
    return {title: group for title, group in found.items() if group}
