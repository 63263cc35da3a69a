"""`efficientvision evaluate`."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.commands.base import TRUST, Argument, Call, Command
from efficientvision.cli.commands.hyper_parameters import split_hyper_parameters
from efficientvision.cli.commands.run_groups import evaluation_groups
from efficientvision.cli.commands.train import check_data
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.overrides import read_overrides
from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.weights.hub_address import is_hub_address, parse_address


def check_model_path(path: str | None) -> None:
    """Checks that a run's folder, checkpoint or export exists; opens nothing.

    A checkpoint of TensorFlow is named by the prefix of its files. Of an address on the hub only
    the form is checked.
    """
    if is_hub_address(path):
        parse_address(str(path))
        return
    if path and not files.exists(path) and not files.matches(f"{path}.*"):
        raise UserError(
            f"MODEL {path} does not exist: expected a run's folder, a checkpoint or an exported "
            "model."
        )


def _check(call: Call) -> None:
    model, data = call.words
    check_model_path(model)
    check_data(data)
    options_from(call.options)
    read_overrides(call.options.get("hparams"))


def _run(call: Call) -> None:
    model, data = call.words
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs import calls

    calls.evaluate(model, data, **call.options, **call.hyper_parameters)


COMMAND = Command(
    name="evaluate",
    summary="Measures a trained, published or exported model on labelled photos.",
    examples=[
        ("efficientvision evaluate runs/efficientdet-lite0 photos/", "a run"),
        (
            "efficientvision evaluate exports/efficientdet-lite0.tflite photos/",
            "an exported model, in its own runtime",
        ),
        (
            "efficientvision evaluate runs/efficientdet-d0 coco/ --test_flip",
            "with test-time augmentation",
        ),
    ],
    arguments=[
        Argument("MODEL", "run's folder, checkpoint or exported model", options=("model_dir",)),
        Argument(
            "DATA",
            "folder of labelled photos (its validation part) or TFRecords",
            options=("data_dir", "val_file_pattern"),
        ),
    ],
    groups=evaluation_groups(),
    defaults={"eval_samples": "all images", "model_name": "the checkpoint's own"},
    texts={
        "model_name": "network, if the checkpoint does not say which it is",
        "trust": TRUST,
    },
    run=_run,
    check=_check,
    split=split_hyper_parameters,
    more_help=lambda _: "Hyper-parameters are options too: --nms_configs.method=hard",
)
