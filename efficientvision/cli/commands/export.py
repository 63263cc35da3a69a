"""`efficientvision export`."""

from __future__ import annotations

from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.commands.evaluate import check_model_path
from efficientvision.cli.commands.inspect_groups import groups_of
from efficientvision.cli.flags import FlagSpec
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.overrides import read_overrides
from efficientvision.configs.run_options import EXPORT_FORMATS
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

# Options of `ev.export` -> the setting that they stand for.
_ARGUMENTS = {
    "folder": FlagSpec("str", "exports", "output folder"),
    "verify": FlagSpec(
        "str",
        None,
        "labelled photos on which to measure each file, or photos on which to compare it with the "
        "network; by default the validation data of the run",
    ),
    "photos": FlagSpec("str", None, "photos on which to compare each file with the network"),
    "calibration": FlagSpec(
        "str", None, "photos that calibrate litert_int8, 100 or more; by default those of the run"
    ),
}
_STAND_FOR = (
    *("ckpt_path", "format", "saved_model_dir", "input_image", "val_file_pattern"),
    "calibration_file_pattern",
)


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in EXPORT_FORMATS:
            raise UserError(f"Unknown format {name!r}. {nearest_names(name, EXPORT_FORMATS)}")
    return names


def _check(call: Call) -> None:
    model, formats = call.words
    check_model_path(model)
    read_overrides(call.options.get("hparams"))
    _formats(formats)


def _run(call: Call) -> None:
    model, formats = call.words
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs import calls

    calls.export(model, _formats(formats), **call.options)


COMMAND = Command(
    name="export",
    summary="Writes a model for a phone or server, and checks every file.",
    details=f"""
FORMATS is a comma-separated list of
  {", ".join(EXPORT_FORMATS[:5])},
  {", ".join(EXPORT_FORMATS[5:])}.
Each file runs in its own runtime: its results are compared with the network's,
and with labelled photos its metric is measured. A file out of tolerance is an
error.
""",
    examples=[
        ("efficientvision export runs/efficientdet-lite0 litert", "for Android and iOS"),
        (
            "efficientvision export runs/a litert_int8 --calibration=a/ --verify=b/",
            "int8, calibrated and measured on labelled photos",
        ),
    ],
    arguments=[
        Argument("MODEL", "a run's folder or a checkpoint", options=("ckpt_path",)),
        Argument("FORMATS", "comma-separated list, see above", options=("format",)),
    ],
    groups={"Files": _ARGUMENTS, **groups_of(["export"], _STAND_FOR)},
    texts={"val_json_file": "ground truth of --verify in COCO format; by default its own"},
    run=_run,
    check=_check,
)
