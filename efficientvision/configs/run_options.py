"""The options of a run: one frozen dataclass, filled from a command line or keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from efficientvision.errors import UserError
from efficientvision.registry import TASKS, nearest_names

PUBLISHED_RECIPE, MODERN_RECIPE = "published", "modern"
MODES = ("train", "eval", "train_and_eval", "report")
HPARAMS_HELP = (
    'hyper-parameters: "num_classes=20,image_size=1920x1280" (sizes are WIDTHxHEIGHT), a .yaml '
    'file, the name of a recipe (bccd, coco, voc ...), or both: "voc,num_classes=3"'
)
USE_XLA_HELP = "compile the step with XLA (slower on a CPU)"
EXPORT_FORMATS = (
    "saved_model",
    "frozen",
    "onnx",
    "openvino",
    "litert",
    "litert_fp16",
    "litert_int8",
    "litert_mixed",
    "coreml",
    "coreml_fp16",
)
NO_TENSORRT = (
    "TensorFlow no longer includes TensorRT; export with `runmode=export` `format=onnx` "
    "`nms=none` and convert the file with NVIDIA's trtexec"
)
DATA_FORMATS = (
    *("auto", "records", "coco", "yolo", "voc", "csv"),
    *("folders", "list", "masks"),
)
DATA_HELP = {
    "data_format": "layout of a folder of labelled photos; auto looks for all that suit the task. "
    "records: TFRecords; coco, yolo, voc (PASCAL VOC), csv: boxes; folders: a folder for each "
    "class; list: lines of path,label or image,mask; masks: images and masks (also Cityscapes); "
    "voc also has masks",
    "val_fraction": "share (0..1) of the photos to hold out for validation if the data is not "
    "split; by default 0.1",
    "split_seed": "seed of `val_fraction`; by default 0",
    "background": "photos without labels are backgrounds without objects; otherwise they are left "
    "out and counted",
    "data_cache": "folder for the records that are made of the data; by default .efficientvision "
    "in the data's folder, or the user's cache folder if that cannot be written to",
}
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool}


Choices = tuple[str, ...] | Callable[[], tuple[str, ...]]


def option(default: Any, help_text: str, *, choices: Choices = (), **more: Any) -> Any:
    """A field of options: its default, its text in `--help`, and its allowed values.

    What may grow after this module was imported, as `registry.TASKS`, is given by a function.
    """
    metadata = {"help": help_text, "choices": choices, **more}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run. Users of `main.py` set all but the last two.

    Attributes:
        written: Names of the options that the user set, even to their defaults. Others may be
            taken from the data, a checkpoint or a recipe.
        hyper_parameters: Hyper-parameters by name, applied after `hparams`.
    """

    mode: str = option(
        "train",
        f"one of {', '.join(MODES)}; report redraws the plots and report.html of the run in "
        "`model_dir` from its files",
    )
    task: str = option(
        "",
        "task to learn; by default the task that `model_name` is for",
        choices=lambda: ("", *TASKS),
    )
    dataset: str = option(
        "",
        "preset for a data set. Classification: imagenet (one class per image), coco or "
        "coco_multilabel (the classes of all objects in the image, from any detection records; "
        "sets the hyper-parameter multi_label). Segmentation: pascal (21 classes), city (20 "
        "classes, with EdgeNets' class weights and scales for Cityscapes). SSD: pascal, coco "
        "(their classes and metrics)",
        choices=("", "imagenet", "coco", "coco_multilabel", "pascal", "city"),
    )
    model_name: str = option("efficientdet-d1", "model, such as efficientdet-d0 or espnetv2_s_2.0")
    model_dir: str | None = option(
        None, "folder of the run: checkpoints, logs, config.yaml, labels.json"
    )
    hparams: str = option("", HPARAMS_HELP)
    defaults: str = option(
        "published",
        "values of options and hyper-parameters that are not set. published: those of the original "
        "programs; data: derived from the training data and this machine, each printed with its "
        "reason (batch size, length, learning rate, input size, anchors, number of classes)",
        choices=("published", "data"),
    )
    recipe: str = option(
        "",
        "hyper-parameters of the training that are not set. modern (EfficientDet): task-aligned "
        "assignment, quality focal loss, mosaic that stops before the end, jitter of scale and "
        "colour; the network stays the same. published: those of the original programs. With "
        "`defaults=data`, short runs are modern unless a recipe is named",
        choices=("", PUBLISHED_RECIPE, MODERN_RECIPE),
    )
    data_dir: str | None = option(
        None,
        "data set: a folder of labelled photos in any known layout (see `data_format`), or its "
        "data.yaml, .json or .csv; or a folder with train*.tfrecord, val*.tfrecord and the ground "
        "truth (instances_val*.json or json_val*.json). Replaces `train_file_pattern`, "
        "`val_file_pattern` and `val_json_file`",
    )
    data_format: str = option("auto", DATA_HELP["data_format"], choices=DATA_FORMATS)
    val_fraction: float | None = option(None, DATA_HELP["val_fraction"])
    split_seed: int | None = option(None, DATA_HELP["split_seed"])
    background: bool = option(False, DATA_HELP["background"])
    data_cache: str | None = option(None, DATA_HELP["data_cache"])
    eval_part: str = option(
        "val", "`mode=eval`: part of `data_dir` to evaluate on", choices=("val", "test")
    )
    train_file_pattern: str | None = option(None, "glob of the training TFRecords")
    val_file_pattern: str | None = option(None, "glob of the evaluation TFRecords")
    val_json_file: str | None = option(
        None, "ground truth for evaluation, in COCO format; by default that of the TFRecords"
    )
    testdev_dir: str | None = option(
        None,
        "write detections for the COCO test-dev server to this folder "
        "(detections_test-dev2017_test_results.json) instead of computing metrics. Segmentation: "
        "PNGs for the PASCAL VOC or Cityscapes server, for the records or photos of "
        "`val_file_pattern`",
    )
    testdev_info_file: str | None = option(
        None,
        "with `testdev_dir`: COCO's image_info_test-dev2017.json; records and results must have "
        "exactly the image ids of this file, or they are rejected",
    )
    train_batch_size: int = option(64, "images per training step, over all devices")
    eval_batch_size: int = option(1, "images per evaluation step")
    eval_samples: int = option(5000, "evaluate at most this many images, the first ones")
    test_flip: bool = option(
        False, "`mode=eval`: test-time augmentation with mirrored photos (takes twice as long)"
    )
    test_scales: str = option(
        "1",
        "`mode=eval`: scales for test-time augmentation, as multiples of image_size, such as "
        "0.75,1,1.25; the input is rounded to whole strides of the coarsest level (128 pixels)",
    )
    test_merge: str = option(
        "wbf",
        "how to merge the detections of test-time augmentation. wbf: weighted box fusion, which "
        "averages overlapping boxes, after hard NMS of each view; nms: one NMS over the candidates "
        "of all views, as nms_configs says",
        choices=("wbf", "nms"),
    )
    test_iou_thresh: float | None = option(
        None, "`test_merge=wbf`: average boxes with at least this IoU (0..1); default 0.55"
    )
    num_examples_per_epoch: int = option(
        120000, "images per epoch; if not set, all images are used, except for EfficientDet"
    )
    num_epochs: int | None = option(
        None, "number of epochs; by default the hyper-parameter num_epochs"
    )
    save_checkpoints_steps: int = option(1000, "steps between checkpoints")
    iterations_per_loop: int = option(
        100, "maximum number of steps per compiled call, between two progress updates"
    )
    start_from: str = option(
        "",
        "pretrained weights to start from: imagenet (classifier weights of the model's backbone), "
        "or any checkpoint, run or hf:// address. The file decides what is used: all of it, or its "
        "backbone. Replaces `ckpt` and `backbone_ckpt`. With `defaults=data` imagenet is the "
        "default if its weights are on this machine; none: random weights",
    )
    backbone_ckpt: str = option(
        "", "checkpoint to initialise the backbone from, or imagenet (not with `ckpt`)"
    )
    ckpt: str | None = option(
        None,
        "checkpoint to start training from; `mode=eval`: checkpoint to evaluate, like `model_dir`",
    )
    distill_from: str | None = option(
        None,
        "larger trained model of the same classes whose outputs are learned beside the labels "
        "(distillation): a run's folder (its best checkpoint) or any checkpoint",
    )
    strategy: str | None = option(
        None,
        "none: one device; gpus: all GPUs of this machine; multi_worker: all machines named by "
        "TF_CONFIG or SLURM; tpu. By default tpu with `tpu` or `use_tpu`, else multi_worker if "
        "several workers are named, else gpus if there are several",
        choices=("", "none", "gpus", "multi_worker", "tpu"),
    )
    tpu: str | None = option(None, "name of a Cloud TPU, or its address grpc://HOST:8470")
    use_tpu: bool | None = option(
        None, "train on the TPU named by `tpu`, or on the one of this machine"
    )
    tpu_zone: str | None = option(None, "zone of `tpu`, if it differs from this machine's")
    gcp_project: str | None = option(
        None, "Google Cloud project of `tpu`, if it differs from this machine's"
    )
    num_cores: int = option(8, "expected number of TPU cores; if set, any other number is an error")
    cpu_replicas: int = option(
        1,
        "train with this many replicas on one CPU, to reproduce on any machine what several GPUs "
        "would compute",
    )
    restarts: int = option(
        0,
        "number of times to restart training from the latest checkpoint after a process or a "
        "worker has died",
    )
    join_timeout: int = option(
        600,
        "several workers: seconds to wait for all of them to join, at the start and after one died",
    )
    heartbeat_port: int | None = option(
        None,
        "several workers: heartbeat port on the host of the first worker; by default its port in "
        "TF_CONFIG plus 1000",
    )
    preflight: str = option(
        "true",
        "true: check records, classes, boxes, anchors and recipe before the first step, and stop "
        "on errors; only: check, then exit; false: check only the class ids",
        choices=("true", "false", "only"),
    )
    use_xla: bool = option(False, USE_XLA_HELP)
    use_fake_data: bool = option(
        False, "repeat the first batch, to measure speed without the input pipeline"
    )
    eval_after_train: bool = option(False, "evaluate once when training ends")
    eval_name: str | None = option(None, "name of the evaluation's TensorBoard folder")
    min_eval_interval: int = option(180, "`mode=eval`: minimum seconds between two evaluations")
    eval_timeout: int | None = option(
        None, "`mode=eval`: seconds to wait for a new checkpoint before exiting"
    )
    trust: bool = option(
        False,
        "`mode=eval` of a SavedModel or frozen graph: run it even if its operations can read and "
        "write files",
    )
    profile: bool = option(False, "write a TensorFlow profile of some training steps")
    seed: int | None = option(
        None, "seed for weights, data order and augmentation; by default the hyper-parameter seed"
    )
    seeds: int = option(
        1,
        "train this many times, with `seed`, `seed` + 1, ..., in seed-0, seed-1, ... of "
        "`model_dir`, and report mean and spread; the folder then stands for the best run",
    )
    on_bad_record: str = option(
        "stop",
        "for records that cannot be read or decoded. stop: name the first and stop; skip: skip, "
        "count and list them (reads the whole data set first)",
        choices=("stop", "skip"),
    )
    on_nan: str = option(
        "stop",
        "for steps whose loss or gradients are NaN or infinite; they are never applied. stop: stop "
        "and name the images of the batch; skip: continue, and count them",
        choices=("stop", "skip"),
    )
    log_to: str = option(
        "tensorboard",
        "comma-separated list of tensorboard, wandb (Weights & Biases) and mlflow, or none; the "
        "environment variables of each apply, such as WANDB_MODE=offline and MLFLOW_TRACKING_URI",
    )
    deterministic: bool = option(False, "reproducible results, at some cost in speed")
    tf_data_service: str | None = option(
        None,
        "grpc://host:port of a tf.data service whose machines decode and augment the training "
        "photos, for hosts that cannot keep their accelerators busy (not with `deterministic`)",
    )

    written: frozenset[str] = frozenset()
    hyper_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def record_patterns(self) -> dict[str, str]:
        """Patterns of the records of "train" and "val", as far as they are set."""
        patterns = {"train": self.train_file_pattern, "val": self.val_file_pattern}
        return {part: pattern for part, pattern in patterns.items() if pattern}

    def shown(self) -> dict[str, Any]:
        """The options that have a value, by name."""
        values = {field.name: getattr(self, field.name) for field in option_fields(type(self))}
        return {name: value for name, value in values.items() if value not in (None, "")}

    def replace(self, **changes: Any) -> RunOptions:
        """A copy with other values; `written` does not change."""
        return dataclasses.replace(self, **changes)


def option_fields(options: type = RunOptions) -> list[dataclasses.Field]:
    """The fields that users can set."""
    return [field for field in dataclasses.fields(options) if field.metadata]


def kind_of(field: dataclasses.Field) -> str | tuple[str, ...]:
    """The type of a field: `str`, `int`, `float`, `bool`, or its choices."""
    choices = field.metadata["choices"]
    return (choices() if callable(choices) else choices) or field.type.partition(" ")[0]


def options_from(values: Mapping[str, Any]) -> RunOptions:
    """Options from keyword arguments.

    Args:
        values: Value of each option; all except None count as set by the user.

    Raises:
        UserError: An unknown option, or a value of the wrong type.
    """
    fields = {field.name: field for field in option_fields()}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"Unknown option {name}. {nearest_names(name, list(fields))}")
        check_option(fields[name], value)
    given = {name: value for name, value in values.items() if value is not None}
    return RunOptions(**given, written=frozenset(given))


def check_option(field: dataclasses.Field, value: Any) -> None:
    """Raises UserError for a value of the wrong type."""
    if value is None:
        return
    kind = kind_of(field)
    if isinstance(kind, tuple):
        if value not in kind:
            known = ", ".join(choice for choice in kind if choice)
            raise UserError(f"{field.name}={value!r}: must be one of {known}.")
    elif not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise UserError(f"{field.name}={value!r}: must be of type {kind}.")
