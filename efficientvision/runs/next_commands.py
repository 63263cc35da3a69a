"""The commands to type after a training run, in the words of the door that started it."""

from __future__ import annotations

import shlex

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import as_command
from efficientvision.training.best_checkpoint import BEST_NAME

_PYTHON_CALL = "efficientvision."
_MAIN = "main.py"
_PHOTOS = "photos"
_RECORDS = "val*.tfrecord"


def next_commands(command: str, options: RunOptions) -> list[tuple[str, str]]:
    """Returns (purpose, command) for predicting, exporting and evaluating the trained model.

    Args:
        command: The command or Python call that started the run.
        options: Options of the run.
    """
    best = files.join(options.model_dir, BEST_NAME)
    model = best if files.is_file(best) else str(options.model_dir)
    data = options.data_dir or options.val_file_pattern
    if command.startswith(_PYTHON_CALL):
        return _calls(model, data)
    if any(files.base_name(word) == _MAIN for word in command.split()):
        return _programs(model, options.val_file_pattern)
    return _console(model, data)


def _calls(model: str, data: str | None) -> list[tuple[str, str]]:
    photos = repr(_PHOTOS)
    verify = f"photos={photos}" if data is None else f"verify={data!r}"
    return [
        ("predict", f"ev.predict({model!r}, {photos})"),
        ("export", f"ev.export({model!r}, 'litert', {verify})"),
        ("evaluate", f"ev.evaluate({model!r}, {data or _RECORDS!r})"),
    ]


def _console(model: str, data: str | None) -> list[tuple[str, str]]:
    quoted = shlex.quote(model)
    verify = {"photos": _PHOTOS} if data is None else {"verify": data}
    return [
        ("predict", as_command(f"efficientvision predict {quoted} {_PHOTOS}")),
        ("export", as_command(f"efficientvision export {quoted} litert", **verify)),
        (
            "evaluate",
            as_command(f"efficientvision evaluate {quoted} {shlex.quote(data or 'DATA')}"),
        ),
    ]


def _programs(model: str, records: str | None) -> list[tuple[str, str]]:
    inspect = "python model_inspect.py"
    source = {"input_image": _PHOTOS} if records is None else {"val_file_pattern": records}
    return [
        (
            "predict",
            as_command(
                inspect,
                runmode="infer",
                ckpt_path=model,
                input_image=_PHOTOS,
                output_image_dir="predictions",
            ),
        ),
        (
            "export",
            as_command(
                inspect,
                runmode="export",
                ckpt_path=model,
                format="litert",
                saved_model_dir="exports",
                **source,
            ),
        ),
        (
            "evaluate",
            as_command(
                "python main.py", mode="eval", model_dir=model, val_file_pattern=records or _RECORDS
            ),
        ),
    ]
