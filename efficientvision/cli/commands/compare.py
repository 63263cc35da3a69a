"""`efficientvision compare`."""

from __future__ import annotations

from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.commands.evaluate import check_model_path
from efficientvision.cli.commands.run_groups import comparison_groups
from efficientvision.cli.commands.train import check_data
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.run_options import options_from


def _check(call: Call) -> None:
    first, second, data = call.words
    check_model_path(first)
    check_model_path(second)
    check_data(data)
    options_from(call.options)


def _run(call: Call) -> None:
    first, second, data = call.words
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs.compare import compare

    print(compare(first, second, data, **call.options))


COMMAND = Command(
    name="compare",
    summary="Says whether one model is better than another by more than chance.",
    details="""
Evaluates both on the same photos and resamples these in pairs. Of a run, its
best checkpoint is taken; of a folder of several seeds, those of all its runs.
""",
    examples=[
        ("efficientvision compare runs/a runs/b", "on the validation photos of runs/a"),
        ("efficientvision compare runs/a runs/b photos/", "on the validation part of photos/"),
    ],
    arguments=[
        Argument("A", "run's folder, folder of several seeds, or checkpoint"),
        Argument("B", "the same for the other model"),
        Argument(
            "DATA",
            "folder of labelled photos (its validation part) or TFRecords; by default the "
            "validation data of A",
            required=False,
            options=("data", "data_dir", "val_file_pattern"),
        ),
    ],
    groups=comparison_groups(),
    defaults={"eval_samples": "all images"},
    run=_run,
    check=_check,
)
