"""`efficientvision convert`."""

from __future__ import annotations

import importlib
from typing import NoReturn

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.commands.train import check_data
from efficientvision.cli.console import say
from efficientvision.cli.flags import FlagSpec
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.run_options import DATA_FORMATS
from efficientvision.data.conversion import NUM_SHARDS
from efficientvision.data.sources.layout import BOXES, CLASSES, MASKS, ConvertOptions

# The converters with flags of their own -> their modules in `cli.convert`.
CONVERTERS = {
    "coco": "coco",
    "pascal": "pascal",
    "classes": "classes",
    "masks": "masks",
    "yolo": "yolo",
    "csv": "csv_boxes",
}
_DEFAULT = ConvertOptions()
_OPTIONS = {
    "data_format": FlagSpec(
        tuple(name for name in DATA_FORMATS if name != "records"),
        "auto",
        "layout of DATA, if it has several",
    ),
    "labels": FlagSpec((BOXES, CLASSES, MASKS), None, "labels to take, if DATA has several kinds"),
    "val_fraction": FlagSpec(
        "float",
        _DEFAULT.val_fraction,
        "share (0..1) to hold out for validation, if DATA is not split",
    ),
    "split_seed": FlagSpec("int", _DEFAULT.seed, "random seed of the held-out part"),
    "background": FlagSpec("bool", False, "keep photos without labels as backgrounds"),
    "skip_bad": FlagSpec("bool", False, "leave out and count what cannot be used"),
    "num_shards": FlagSpec("int", NUM_SHARDS, "files per part, at most"),
    "num_workers": FlagSpec("int", None, "parallel processes; by default one per core"),
}


def run_converter(name: str, words: list[str]) -> NoReturn:
    """Runs a converter with flags of its own, one of `CONVERTERS`, and exits.

    Args:
        name: Its name.
        words: The rest of the command line.
    """
    module = importlib.import_module(f"efficientvision.cli.convert.{CONVERTERS[name]}")
    module.define_flags()
    run_main(
        lambda _: module.run(flags.FLAGS),
        [f"efficientvision convert {name}", *words],
        about=module.__doc__,
    )
    raise AssertionError("a converter ends its process")


def _check(call: Call) -> None:
    check_data(call.words[0])


def _run(call: Call) -> None:
    data, output = call.words
    others = ("labels", "num_shards", "num_workers")
    chosen = {name: call.options[name] for name in others if name in call.options}
    source = {name: value for name, value in call.options.items() if name not in others}
    load_tensorflow_quietly()
    from efficientvision.data.sources.records import SourceOptions, convert_folder

    for report in convert_folder(data, output, options=SourceOptions(**source), **chosen):
        say(report)


COMMAND = Command(
    name="convert",
    summary="Converts a folder of labelled photos to TFRecords.",
    details=f"""
Training does this by itself, once, in a cache. For other machines and buckets,
or for options of a format, there are converters with flags of their own:
  efficientvision convert {"|".join(CONVERTERS)} --help
""",
    examples=[
        ("efficientvision convert photos/ records/", "whatever layout photos/ has"),
        (
            "efficientvision convert coco/ records/ --labels=boxes --num_shards=256",
            "boxes, in 256 files per part",
        ),
    ],
    arguments=[
        Argument("DATA", "folder of labelled photos, or a data.yaml, .json or .csv of labels"),
        Argument("OUTPUT", "folder to write the records to"),
    ],
    groups={"Options": _OPTIONS},
    run=_run,
    check=_check,
)
