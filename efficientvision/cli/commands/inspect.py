"""`efficientvision inspect`."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.flags import FlagSpec
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.run_options import DATA_FORMATS, DATA_HELP, HPARAMS_HELP
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names
from efficientvision.weights.hub_address import is_hub_address, parse_address

_SOURCE = {
    "data_format": FlagSpec(DATA_FORMATS, "auto", DATA_HELP["data_format"]),
    "val_fraction": FlagSpec("float", None, DATA_HELP["val_fraction"]),
    "split_seed": FlagSpec("int", None, DATA_HELP["split_seed"]),
    "background": FlagSpec("bool", False, DATA_HELP["background"]),
    "data_cache": FlagSpec("str", None, DATA_HELP["data_cache"]),
}
_DATA = {
    **_SOURCE,
    "part": FlagSpec(("train", "val", "test"), "train", "part to inspect"),
    "samples": FlagSpec("int", 10, "pictures to draw"),
    "folder": FlagSpec("str", "samples", "folder for the pictures"),
    "augment": FlagSpec("bool", True, "draw them as training sees them"),
}
_MODEL = {
    "model_name": FlagSpec("str", None, "network of a checkpoint, or whose input is drawn"),
    "hparams": FlagSpec("str", "", HPARAMS_HELP),
}


def _check(call: Call) -> None:
    (path,) = call.words
    name = call.options.get("model_name")
    if name and name not in list_models():
        raise UserError(f"Unknown --model_name={name}. {nearest_names(name, list_models())}")
    if is_hub_address(path):
        parse_address(path)
    elif not (files.matches(path) or files.matches(f"{path}.*") or path in list_models()):
        hint = nearest_names(path, list_models()) if files.base_name(path) == path else ""
        raise UserError(f"PATH {path} is neither a file or folder nor a network. {hint}".strip())


def _run(call: Call) -> None:
    (path,) = call.words
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs import inspect_model

    options = dict(call.options)
    network = {name: options.pop(name) for name in _MODEL if name in options}
    if inspect_model.is_model(path):
        if unused := [name for name in _DATA if name in options]:
            raise UserError(f"--{unused[0]} is for labelled photos, but {path} is a model.")
        inspect_model.inspect_model(path, **network)
        return
    from efficientvision.runs.inspect_data import inspect_data, records_to_inspect

    chosen = {name: options.pop(name) for name in (*_SOURCE, "part") if name in options}
    training = options.pop("augment", True)
    pattern = records_to_inspect(path, **chosen)
    inspect_data(pattern, training=training, **{"folder": "samples", **options, **network})


COMMAND = Command(
    name="inspect",
    summary="Describes labelled photos, records, a checkpoint or an export.",
    details="""
Labelled photos: counts, sizes, classes and problems (damaged images, repeated
ids, boxes outside, ...), and pictures with their labels. Models: parameters and
multiply-adds by part; exports: their inputs, outputs and classes.
""",
    examples=[
        ("efficientvision inspect photos/", "the training part, as training sees it"),
        ("efficientvision inspect photos/ --part=val --noaugment", "the validation part as it is"),
        ("efficientvision inspect runs/efficientdet-lite0", "a trained network"),
        ("efficientvision inspect efficientdet-d0", "a network by its name"),
    ],
    arguments=[
        Argument("PATH", "folder or file of labelled photos; run, checkpoint, export or network")
    ],
    groups={"Labelled photos": _DATA, "Model": _MODEL},
    run=_run,
    check=_check,
)
