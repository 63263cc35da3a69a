"""`efficientvision train`."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from efficientvision import files
from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.commands.hyper_parameters import (
    check_model,
    hyper_parameter_help,
    split_hyper_parameters,
)
from efficientvision.cli.commands.run_groups import training_groups
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.loggers import logger_names
from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.registry import list_models
from efficientvision.runs.run_name import new_run_folder

_FROM_DATA = "from the data"


def _check(call: Call) -> None:
    model, data = call.words
    options = call.options
    check_model(model, options.get("task"), options.get("hparams") or "", call.hyper_parameters)
    if options.get("mode") not in (None, "train", "train_and_eval"):
        raise UserError(
            f"--mode={options['mode']}: must be train or train_and_eval. To evaluate, use: "
            "efficientvision evaluate"
        )
    options_from(options)
    logger_names(options.get("log_to") or "")
    check_data(data)


def check_data(data: str | None) -> None:
    """Checks that a folder or file of labelled photos exists; opens nothing."""
    # A comma separates patterns, or is part of a name.
    patterns = [data or ""] if data is None or files.matches(data) else data.split(",")
    if data and not all(files.matches(pattern.strip()) for pattern in patterns):
        raise UserError(f"DATA {data} does not exist: expected a folder of labelled photos.")


def _run(call: Call) -> int:
    from efficientvision.cli import supervise

    model, data = call.words
    options: dict[str, Any] = {"mode": "train_and_eval", **call.options, "model_name": model}
    code = supervise.run_as_parent(options_from(options))
    if code is not None:
        return code
    load_tensorflow_quietly()
    from efficientvision.runs import calls
    from efficientvision.runs.devices import grow_gpu_memory

    grow_gpu_memory()
    with supervise.ending_for_parent():
        command = shlex.join(["efficientvision", "train", *sys.argv[2:]])
        own = {"model_dir": new_run_folder(model), **call.options}
        asked = {name: own.pop(name) for name in ("model_dir",)} | calls.patterns_of(data)
        return calls.start_training(model, command, asked, {**own, **call.hyper_parameters})


def _model_help(words: list[str]) -> str:
    if words and words[0] in list_models():
        return hyper_parameter_help(words[0])
    return (
        "Hyper-parameters are options too (--learning_rate=0.01):\n"
        "efficientvision train MODEL --help lists those of a model."
    )


COMMAND = Command(
    name="train",
    summary="Trains a network on a folder of labelled photos.",
    details="""
Takes COCO, YOLO, PASCAL VOC, CSV, class folders, masks, or TFRecords. Classes,
batch size, learning rate, epochs and input size come from the data unless you
set them; what was chosen is printed with its reason. Ctrl-C saves a checkpoint;
the same command with the same --model_dir continues.
""",
    examples=[
        ("efficientvision train efficientdet-lite0 photos/", "a detector, into runs/"),
        (
            "efficientvision train espnetv2_s_1.0 class_folders/ --num_epochs=50",
            "a classifier, for 50 epochs",
        ),
        (
            "efficientvision train efficientdet-d0 coco/ --hparams=coco",
            "the published recipe for COCO",
        ),
    ],
    arguments=[
        Argument("MODEL", "a network, see: efficientvision models", options=("model_name",)),
        Argument(
            "DATA",
            "folder of labelled photos or TFRecords; or a data.yaml, .json or .csv of labels",
            required=False,
            options=("data_dir",),
        ),
    ],
    groups=training_groups(),
    defaults={
        "model_dir": "runs/MODEL, with a number if that exists",
        "mode": "train_and_eval if there is validation data",
        "train_batch_size": _FROM_DATA,
        "eval_batch_size": _FROM_DATA,
        "num_examples_per_epoch": "all images",
        "eval_samples": "all images",
        "num_epochs": _FROM_DATA,
        "defaults": "data",
    },
    texts={
        "mode": "train_and_eval: evaluate after every epoch; train: never",
        "num_epochs": "number of epochs",
        "ckpt": "checkpoint or run to start training from",
    },
    run=_run,
    check=_check,
    split=split_hyper_parameters,
    more_help=_model_help,
)
