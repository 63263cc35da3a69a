"""The options of a run: one frozen dataclass, filled by a command line or by keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

MODES = ("train", "eval", "train_and_eval", "report")
HPARAMS_HELP = (
    'hyper-parameters: "num_classes=20,image_size=1920x1280" (sizes are WIDTHxHEIGHT), the path of '
    'a .yaml file, or both: "voc.yaml,num_classes=3"'
)
USE_XLA_HELP = "compile the step with XLA (on a CPU it is slower)"
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
    "TensorFlow has no TensorRT any more; give NVIDIA's trtexec the file of "
    "`runmode=export` `format=onnx` `nms=none`"
)
_TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool}


def option(default: Any, help_text: str, *, choices: tuple[str, ...] = (), **more: Any) -> Any:
    """A field of options: its default, what `--help` says, and the values that it may have."""
    metadata = {"help": help_text, "choices": choices, **more}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is asked to do. Every field but the last two is a flag of `main.py`.

    Attributes:
        written: names of the options that the user gave, even if their values are the defaults:
            what was not given may be taken from the data, a checkpoint or a recipe.
        hyper_parameters: by name, applied after `hparams`.
    """

    mode: str = option(
        "train",
        f"one of {', '.join(MODES)}; report: draw the plots and report.html of a run again, from "
        "the files in `model_dir`",
    )
    task: str = option(
        "",
        "what the network learns; without it, what `model_name` is for",
        choices=("", "detection", "classification", "segmentation"),
    )
    dataset: str = option(
        "",
        "classification: imagenet: one class an image; coco or coco_multilabel: those of the "
        "objects in it (any detection records; the hyper-parameter multi_label); segmentation: "
        "pascal: 21 classes; city: 20, with EdgeNets' weights and scales of Cityscapes; SSD: "
        "pascal, coco: their classes and metrics",
        choices=("", "imagenet", "coco", "coco_multilabel", "pascal", "city"),
    )
    model_name: str = option("efficientdet-d1", "model, such as efficientdet-d0, espnetv2_s_2.0")
    model_dir: str | None = option(
        None, "folder of the run: checkpoints, logs, config.yaml, labels.json"
    )
    hparams: str = option("", HPARAMS_HELP)
    data_dir: str | None = option(
        None,
        "folder of train*.tfrecord, val*.tfrecord and the evaluation's JSON (instances_val*.json, "
        "json_val*.json), in place of the three flags below",
    )
    train_file_pattern: str | None = option(None, "glob of the training TFRecords")
    val_file_pattern: str | None = option(None, "glob of the evaluation TFRecords")
    val_json_file: str | None = option(
        None, "ground truth of the evaluation in COCO format; without it, that of the TFRecords"
    )
    testdev_dir: str | None = option(
        None,
        "write detections for the COCO test-dev server into this folder "
        "(detections_test-dev2017_test_results.json); nothing is measured then; segmentation: PNGs "
        "for the server of PASCAL VOC or Cityscapes, of the records or the photos that "
        "`val_file_pattern` names",
    )
    testdev_info_file: str | None = option(
        None,
        "with `testdev_dir`: COCO's image_info_test-dev2017.json; results are refused, and records "
        "before that, whose image ids are not exactly those of this file",
    )
    train_batch_size: int = option(64, "images in a training step, all devices together")
    eval_batch_size: int = option(1, "images in an evaluation step")
    eval_samples: int = option(5000, "most images of an evaluation, from the first")
    test_flip: bool = option(
        False, "`mode=eval`: look at each photo's mirror image too (twice the time)"
    )
    test_scales: str = option(
        "1",
        "`mode=eval`: scales at which to look at each photo, as factors of image_size, such as "
        "0.75,1,1.25; the network's input grows or shrinks by whole strides of its coarsest level "
        "(128 pixels)",
    )
    test_merge: str = option(
        "wbf",
        "how the detections of several looks become one set; wbf: boxes that overlap are averaged "
        "(weighted box fusion), after hard NMS in each look; nms: the candidates of all enter one "
        "suppression, as nms_configs says",
        choices=("wbf", "nms"),
    )
    test_iou_thresh: float | None = option(
        None, "wbf: least overlap (0..1) of boxes that are averaged; without it 0.55"
    )
    num_examples_per_epoch: int = option(
        120000, "images in an epoch; not given, for all but an EfficientDet all there are"
    )
    num_epochs: int | None = option(None, "epochs; without it, the hyper-parameter num_epochs")
    save_checkpoints_steps: int = option(1000, "steps between checkpoints")
    iterations_per_loop: int = option(
        100, "most steps between two looks at the progress (one compiled call)"
    )
    backbone_ckpt: str = option(
        "", "checkpoint whose backbone training starts from (not with `ckpt`)"
    )
    ckpt: str | None = option(
        None, "checkpoint that training starts from; `mode=eval`: what is evaluated, as `model_dir`"
    )
    strategy: str | None = option(
        None,
        "none: one device; gpus: every GPU of this machine; multi_worker: every machine that "
        "TF_CONFIG or SLURM names; tpu. Without the flag: tpu with `tpu` or `use_tpu`, else "
        "multi_worker where several workers are named, else gpus where there are several",
        choices=("", "none", "gpus", "multi_worker", "tpu"),
    )
    tpu: str | None = option(None, "name of a Cloud TPU, or its address grpc://HOST:8470")
    use_tpu: bool | None = option(None, "train on the TPU of `tpu`, or on that of this machine")
    tpu_zone: str | None = option(None, "zone of `tpu`, if it is not this machine's")
    gcp_project: str | None = option(None, "Google Cloud project of `tpu`, if not this machine's")
    num_cores: int = option(8, "TPU cores; options, another number on the TPU is an error")
    cpu_replicas: int = option(
        1,
        "train on so many replicas that share the CPU, to try on any machine what several GPUs "
        "would compute",
    )
    restarts: int = option(
        0,
        "how often training starts again from the newest checkpoint after a process or a worker "
        "has died",
    )
    join_timeout: int = option(
        600, "several workers: seconds to wait for all of them, at the start and after a death"
    )
    heartbeat_port: int | None = option(
        None,
        "several workers: port on the first one's host by which they watch each other; else its "
        "port in TF_CONFIG plus 1000",
    )
    preflight: str = option(
        "true",
        "true: look at records, classes, boxes, anchors and recipe before the first step, and stop "
        "if something cannot work; only: end after that; false: look at the class ids only",
        choices=("true", "false", "only"),
    )
    use_xla: bool = option(False, USE_XLA_HELP)
    use_fake_data: bool = option(False, "repeat the first batch, to time the rest")
    eval_after_train: bool = option(False, "evaluate once when training ends")
    eval_name: str | None = option(None, "name of the evaluation's TensorBoard folder")
    min_eval_interval: int = option(180, "`mode=eval`: least seconds between two evaluations")
    eval_timeout: int | None = option(
        None, "`mode=eval`: seconds to wait for a new checkpoint before it ends"
    )
    trust: bool = option(
        False,
        "`mode=eval` of a SavedModel or frozen graph: run it even if its operations may read and "
        "write files",
    )
    profile: bool = option(False, "write a TensorFlow profile of some training steps")
    seed: int | None = option(
        None, "seed of weights, order and augmentation; else the hyper-parameter seed"
    )
    on_bad_record: str = option(
        "stop",
        "records that cannot be read or decoded: stop names the first; skip leaves them out, "
        "counted and listed (reads the whole data set first)",
        choices=("stop", "skip"),
    )
    on_nan: str = option(
        "stop",
        "a step whose loss or gradients are not finite (NaN, infinite) is never applied; stop: end "
        "there, with the images of its batch; skip: go on without it, and count",
        choices=("stop", "skip"),
    )
    deterministic: bool = option(False, "the same numbers in every run, at some cost of speed")
    tf_data_service: str | None = option(
        None,
        "grpc://host:port of a tf.data service, whose machines then decode and augment the "
        "training photos, for hosts that cannot feed their accelerators (not with `deterministic`)",
    )

    written: frozenset[str] = frozenset()
    hyper_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def replace(self, **changes: Any) -> RunOptions:
        """Options with other values; what counts as written by the user stays."""
        return dataclasses.replace(self, **changes)


def option_fields(options: type = RunOptions) -> list[dataclasses.Field]:
    """The fields that users can set."""
    return [field for field in dataclasses.fields(options) if field.metadata]


def kind_of(field: dataclasses.Field) -> str | tuple[str, ...]:
    """`str`, `int`, `float` or `bool`, or the values to choose from."""
    return field.metadata["choices"] or field.type.partition(" ")[0]


def options_from(values: Mapping[str, Any]) -> RunOptions:
    """Options from keyword arguments.

    Args:
        values: option -> value; all of them count as written by the user, but those that are None.

    Raises:
        UserError: an unknown option, or a value of another type.
    """
    fields = {field.name: field for field in option_fields()}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"Unknown option {name}. {nearest_names(name, list(fields))}")
        _check(fields[name], value)
    given = {name: value for name, value in values.items() if value is not None}
    return RunOptions(**given, written=frozenset(given))


def _check(field: dataclasses.Field, value: Any) -> None:
    if value is None:
        return
    kind = kind_of(field)
    if isinstance(kind, tuple):
        if value not in kind:
            known = ", ".join(choice for choice in kind if choice)
            raise UserError(f"{field.name}={value!r}: it is one of {known}.")
    elif not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise UserError(f"{field.name}={value!r}: a value of type {kind} is needed.")
