"""The flags of `main.py` and `model_inspect.py`: every one that the published programs had.

Each belongs to one of three lists per program: implemented (declared with a meaning), obsolete
(accepted, a printed line says why it does nothing), unavailable (refused with the reason).
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from absl import flags

from efficientvision.errors import UserError

TRAIN = "main.py"
INSPECT = "model_inspect.py"


class FlagSpec(NamedTuple):
    """One flag: type (`string`, `int`, `float`, `bool`, `ints` or a tuple of choices), default,
    meaning.
    """

    type: str | tuple[str, ...]
    default: Any
    help: str


class UnavailableFlag(NamedTuple):
    """A flag that is refused when it asks for something.

    Attributes:
        spec: Its declaration.
        reason: Why it is refused, and what to do instead.
    """

    spec: FlagSpec
    reason: str


MODES = ("train", "eval", "train_and_eval")
RUNMODES = (
    "dry",
    "ckpt",
    "bm",
    "infer",
    "saved_model",
    "saved_model_infer",
    "saved_model_benchmark",
    "freeze",
)

_HPARAMS = FlagSpec(
    "string",
    "",
    'hyper-parameters: "num_classes=20,image_size=1920x1280" (sizes are WIDTHxHEIGHT), the path of '
    'a .yaml file, or both: "voc.yaml,num_classes=3"',
)
_USE_XLA = FlagSpec("bool", False, "compile the step with XLA (on a CPU it is slower)")

IMPLEMENTED: dict[str, dict[str, FlagSpec]] = {
    TRAIN: {
        "mode": FlagSpec("string", "train", f"one of {', '.join(MODES)}"),
        "model_name": FlagSpec("string", "efficientdet-d1", "model, such as efficientdet-d0"),
        "model_dir": FlagSpec(
            "string", None, "folder of the run: checkpoints, logs, config.yaml, labels.json"
        ),
        "hparams": _HPARAMS,
        "train_file_pattern": FlagSpec("string", None, "glob of the training TFRecords"),
        "val_file_pattern": FlagSpec("string", None, "glob of the evaluation TFRecords"),
        "val_json_file": FlagSpec(
            "string",
            None,
            "ground truth of the evaluation in COCO format; without it, that of the TFRecords",
        ),
        "testdev_dir": FlagSpec(
            "string",
            None,
            "write detections for the COCO test-dev server into this folder; there is no ground "
            "truth then",
        ),
        "train_batch_size": FlagSpec("int", 64, "images in a training step, all devices together"),
        "eval_batch_size": FlagSpec("int", 1, "images in an evaluation step"),
        "eval_samples": FlagSpec("int", 5000, "most images of an evaluation"),
        "num_examples_per_epoch": FlagSpec("int", 120000, "images in an epoch"),
        "num_epochs": FlagSpec("int", None, "epochs; without it, the hyper-parameter num_epochs"),
        "save_checkpoints_steps": FlagSpec("int", 1000, "steps between checkpoints"),
        "iterations_per_loop": FlagSpec(
            "int", 100, "most steps between two looks at the progress (one compiled call)"
        ),
        "backbone_ckpt": FlagSpec(
            "string", "", "checkpoint whose backbone training starts from (not with --ckpt)"
        ),
        "ckpt": FlagSpec("string", None, "detector checkpoint that training starts from"),
        "strategy": FlagSpec(
            ("", "gpus", "tpu"), None, "gpus: every GPU of the machine; empty: one device"
        ),
        "use_xla": _USE_XLA,
        "use_fake_data": FlagSpec("bool", False, "repeat the first batch, to time the rest"),
        "eval_after_train": FlagSpec("bool", False, "evaluate once when training ends"),
        "eval_name": FlagSpec("string", None, "name of the evaluation's TensorBoard folder"),
        "min_eval_interval": FlagSpec(
            "int", 180, "--mode=eval: least seconds between two evaluations"
        ),
        "eval_timeout": FlagSpec(
            "int", None, "--mode=eval: seconds to wait for a new checkpoint before it ends"
        ),
        "profile": FlagSpec("bool", False, "write a TensorFlow profile of some training steps"),
        "seed": FlagSpec(
            "int", None, "seed of weights, order and augmentation; else the hyper-parameter seed"
        ),
        "deterministic": FlagSpec(
            "bool", False, "the same numbers in every run, at some cost of speed"
        ),
    },
    INSPECT: {
        "runmode": FlagSpec("string", "dry", f"one of {', '.join(RUNMODES)}"),
        "model_name": FlagSpec(
            "string", None, "model; else the checkpoint's own, and efficientdet-d0 without one"
        ),
        "hparams": _HPARAMS,
        "input_image_size": FlagSpec(
            "string", None, "input size: 512 or WIDTHxHEIGHT; wins over image_size in --hparams"
        ),
        "ckpt_path": FlagSpec(
            "string",
            None,
            "checkpoint of any kind (prefix, file or folder); empty or _ for random weights",
        ),
        "export_ckpt": FlagSpec("string", None, "--runmode=ckpt: where to write the weights"),
        "logdir": FlagSpec("string", "/tmp/deff/", "folder for the files of dry and freeze"),
        "delete_logdir": FlagSpec("bool", True, "empty --logdir of our own files first"),
        "batch_size": FlagSpec("int", 1, "images at a time; 0 in an export: any number"),
        "bm_runs": FlagSpec("int", 10, "timed runs of a benchmark"),
        "threads": FlagSpec("int", 0, "threads of a benchmark; 0: as many as TensorFlow likes"),
        "trace_filename": FlagSpec("string", None, "write a trace of one benchmark run there"),
        "use_xla": _USE_XLA,
        "input_image": FlagSpec("string", None, "photo or glob of photos"),
        "output_image_dir": FlagSpec("string", None, "folder for the pictures 0.jpg, 1.jpg, ..."),
        "line_thickness": FlagSpec("int", None, "width of the drawn boxes, pixels"),
        "max_boxes_to_draw": FlagSpec("int", None, "most boxes of a picture (default 100)"),
        "min_score_thresh": FlagSpec("float", None, "least score of a drawn box (default 0.4)"),
        "nms_method": FlagSpec(
            ("hard", "gaussian"), None, "non-maximum suppression; else as nms_configs.method says"
        ),
        "saved_model_dir": FlagSpec(
            "string", "/tmp/saved_model", "SavedModel folder, or <model>_frozen.pb to read"
        ),
    },
}

# Other names for the same flag: those of earlier and later published versions.
ALIASES = {
    TRAIN: {
        "training_file_pattern": "train_file_pattern",
        "validation_file_pattern": "val_file_pattern",
        "eval_after_training": "eval_after_train",
        "tf_random_seed": "seed",
    },
    INSPECT: {"xla": "use_xla"},
}

# Said only where a flag asks for something: --use_tpu=False is as good as none.
OBSOLETE: dict[str, dict[str, tuple[FlagSpec, str]]] = {
    TRAIN: {
        "use_tpu": (
            FlagSpec("bool", None, "obsolete"),
            "this version trains on the CPU or GPU that it finds, see --strategy",
        ),
        "eval_master": (
            FlagSpec("string", "", "obsolete"),
            "evaluation runs in this process",
        ),
        "run_epoch_in_child_process": (
            FlagSpec("bool", False, "obsolete"),
            "memory does not grow from epoch to epoch",
        ),
        "use_spatial_partition": (
            FlagSpec("bool", False, "obsolete"),
            "images are not cut across TPU cores; use a smaller batch per core",
        ),
        "num_cores_per_replica": (
            FlagSpec("int", 8, "obsolete"),
            "images are not cut across TPU cores; use a smaller batch per core",
        ),
        "input_partition_dims": (
            FlagSpec("ints", [1, 4, 2, 1], "obsolete"),
            "images are not cut across TPU cores; use a smaller batch per core",
        ),
    },
    INSPECT: {
        "freeze": (
            FlagSpec("bool", False, "obsolete"),
            "no version ever read it; use --runmode=freeze",
        ),
    },
}

_NO_TPU = (
    "this version trains on CPUs and GPUs; leave the flag out, with --strategy=gpus for several "
    "GPUs"
)
_NO_VIDEO = "video is not available in this version; use --input_image with the frames"

INVALID: dict[str, dict[str, UnavailableFlag]] = {
    TRAIN: {
        "tpu": UnavailableFlag(FlagSpec("string", None, "not available"), _NO_TPU),
        "tpu_zone": UnavailableFlag(FlagSpec("string", None, "not available"), _NO_TPU),
        "gcp_project": UnavailableFlag(FlagSpec("string", None, "not available"), _NO_TPU),
        "num_cores": UnavailableFlag(FlagSpec("int", None, "not available"), _NO_TPU),
    },
    INSPECT: {
        "input_video": UnavailableFlag(FlagSpec("string", None, "not available"), _NO_VIDEO),
        "output_video": UnavailableFlag(FlagSpec("string", None, "not available"), _NO_VIDEO),
        "tensorrt": UnavailableFlag(
            FlagSpec("string", None, "not available"),
            "TensorRT is not built into this TensorFlow; convert the exported SavedModel with "
            "NVIDIA's own tools",
        ),
        "tflite_path": UnavailableFlag(
            FlagSpec("string", None, "not available"),
            "LiteRT export is not available in this version; use --runmode=saved_model",
        ),
    },
}


def define_train_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags of `main.py`."""
    _define(TRAIN, flag_values)


def define_inspect_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags of `model_inspect.py`."""
    _define(INSPECT, flag_values)


def report_obsolete(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Says of every given flag that does nothing why, and refuses those that cannot be honoured.

    Prints one line for each obsolete flag on the command line.

    Raises:
        UserError: A flag asks for what this version does not have.
    """
    for program in (TRAIN, INSPECT):
        for name, flag in INVALID[program].items():
            if _given(name, flag_values) and flag_values[name].value not in (None, ""):
                raise UserError(f"--{name} is refused: {flag.reason}.")
        for name, (_, reason) in OBSOLETE[program].items():
            if _given(name, flag_values) and flag_values[name].value is not False:
                print(f"Flag --{name} has no effect: {reason}.", file=sys.stderr)
    if _given("strategy", flag_values) and flag_values["strategy"].value == "tpu":
        raise UserError(f"--strategy=tpu is refused: {_NO_TPU}.")


def _given(name: str, flag_values: flags.FlagValues) -> bool:
    return name in flag_values and flag_values[name].present > 0


def _define(program: str, flag_values: flags.FlagValues) -> None:
    specs = dict(IMPLEMENTED[program])
    specs |= {
        name: spec._replace(help=f"Obsolete: {reason}.")
        for name, (spec, reason) in OBSOLETE[program].items()
    }
    specs |= {
        name: flag.spec._replace(help=f"Not available: {flag.reason}.")
        for name, flag in INVALID[program].items()
    }
    for name, spec in specs.items():
        _define_one(name, spec, flag_values)
    for alias, name in ALIASES[program].items():
        flags.DEFINE_alias(alias, name, flag_values=flag_values)


def _define_one(name: str, spec: FlagSpec, flag_values: flags.FlagValues) -> None:
    if isinstance(spec.type, tuple):
        flags.DEFINE_enum(name, spec.default, spec.type, spec.help, flag_values=flag_values)
        return
    define = {
        "string": flags.DEFINE_string,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "bool": flags.DEFINE_bool,
        "ints": flags.DEFINE_multi_integer,
    }[spec.type]
    define(name, spec.default, spec.help, flag_values=flag_values)
