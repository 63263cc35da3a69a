"""Lists the weights in a checkpoint, and converts them to Keras files.

  python -m efficientvision.weights show FILE
      prints the names and shapes of the weights (convolutions as [height, width, in / groups,
      out]) and the network that they belong to
  python -m efficientvision.weights convert FILE OUTPUT
      builds that network, loads the file and writes OUTPUT, a .weights.h5 or .keras file

FILE is any checkpoint that load_weights accepts: a PyTorch .pth (no code in it is executed, and
PyTorch need not be installed), a TensorFlow or Keras checkpoint, or a run's folder.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
import tempfile
from typing import Any

from absl import flags

from efficientvision import files
from efficientvision.cli.flags import FlagSpec, define_flag
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.errors import UserError
from efficientvision.registry import TASKS, efficientdet_names, list_models, task_of
from efficientvision.weights.checkpoint_reader import CheckpointReader, open_checkpoint
from efficientvision.weights.identify import Identified, identify
from efficientvision.weights.preprocessing import follow_preprocessing

_OUTPUT_ENDINGS = (".weights.h5", ".keras")
_SIZE_IN_NAME = re.compile(r"_([1-9]\d{1,3}x[1-9]\d{1,3})\.[\w.]+$")
_USAGE = "expected: show FILE, or convert FILE OUTPUT; see --help"


FLAGS: dict[str, FlagSpec] = {
    "model_name": FlagSpec("str", None, "network, if it cannot be identified from the file"),
    "task": FlagSpec(lambda: tuple(TASKS), None, "task, if it cannot be identified from the file"),
    "num_classes": FlagSpec(
        "int", None, "number of classes, if it cannot be identified from the file"
    ),
    "image_size": FlagSpec(
        "str",
        None,
        "input size of the converted network: 224, or 512x256 (WxH); by default the size at the "
        "end of the file's name, as in published files, else the network's own",
    ),
    "overwrite": FlagSpec("bool", False, "overwrite OUTPUT if it exists"),
}


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags of the command."""
    for name, spec in FLAGS.items():
        define_flag(name, spec, values)


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Runs the command `show` or `convert`."""
    match argv[1:]:
        case ["show", path]:
            show(path)
        case ["convert", path, output]:
            convert(path, output, flag_values)
        case given:
            raise UserError(f"{' '.join(given) or 'no command'} is not complete: {_USAGE}")


def show(path: str) -> None:
    """Prints the weights in a checkpoint."""
    reader = open_checkpoint(path)
    load_tensorflow_quietly()
    shapes = reader.names()
    count = sum(math.prod(shape) for shape in shapes.values())
    width = max(map(len, shapes))
    for name, shape in shapes.items():
        print(f"{name:<{width}}  {list(shape)}")
    print(f"{path} ({reader.kind}): {len(shapes)} weights, {count:,} values. {_looks(reader)}")


def convert(path: str, output: str, given: flags.FlagValues) -> None:
    """Writes a checkpoint as a Keras file.

    Raises:
        UserError: The checkpoint cannot be read or is not of a known, complete network, or the
            output exists or has the wrong ending.
    """
    _check_output(output, given.overwrite)
    reader = open_checkpoint(path)
    load_tensorflow_quietly()
    found = identify(reader)
    print(f"{path}: {_looks(reader)}")
    from efficientvision.tasks.choice import get_config

    name, task = _network(path, found, given)
    model = _loaded_model(reader, found, name, task, given)
    _save(model, output)
    print(f"Wrote {output}")
    if follow_preprocessing(get_config(name, task=task), reader.preprocessing, path):
        print(f"It does not hold the normalisation: load it with {reader.preprocessing}.")
    if reader.settings:
        print(f"It does not hold these hyper-parameters: load it with {_settings(reader)}.")


def _check_output(output: str, overwrite: bool) -> None:
    if not output.endswith(_OUTPUT_ENDINGS):
        raise UserError(f"{output} must end in {' or '.join(_OUTPUT_ENDINGS)}.")
    if files.exists(output) and not overwrite:
        raise UserError(f"{output} already exists: choose another name, or add --overwrite.")


def _looks(reader: CheckpointReader) -> str:
    found = identify(reader)
    if found.model is None:
        return "It does not match any network of list_models()."
    is_known = found.model in list_models()
    if found.task is None and found.num_classes and is_known:
        found = dataclasses.replace(found, task=task_of(found.model))
    unknown = "" if is_known else ", which is not in list_models()"
    lines = [f"This looks like {found.described(found.model)}{unknown}."]
    if reader.preprocessing is not None:
        trained = reader.preprocessing
        lines.append(f"It was trained with {trained} ({trained.source}).")
    if reader.settings:
        lines.append(f"Hyper-parameters that its tensors do not tell: {_settings(reader)}.")
    return "\n".join([*lines, *(f"Note: {note}." for note in reader.notes)])


def _settings(reader: CheckpointReader) -> str:
    return ", ".join(f"{key}={value}" for key, value in reader.settings.items())


def _network(path: str, found: Identified, given: flags.FlagValues) -> tuple[str, str]:
    """The network to build and its task.

    Raises:
        UserError: It is unknown, or there is no such network for that task.
    """
    name = given.model_name or found.model
    if name is None:
        raise UserError(f"Cannot identify the network of {path}: add --model_name.")
    task = given.task or found.task or task_of(name)
    if found.task not in (None, task):
        raise UserError(
            f"{path} is {found.described(name)}, not for {task}: remove --task, or load only "
            f"the encoder into that network: load_weights(model, {path!r})."
        )
    return name, task_of(name, task)


def _loaded_model(
    reader: CheckpointReader, found: Identified, name: str, task: str, given: flags.FlagValues
) -> Any:
    from efficientvision.api import build_model, load_weights
    from efficientvision.loading import load_model

    options = {"num_classes": given.num_classes, "image_size": given.image_size}
    options = {key: value for key, value in options.items() if value is not None}
    if name in efficientdet_names():
        return load_model(reader.path, name, task="detection", **options).model
    identified = {
        "num_classes": found.num_classes,
        "image_size": _size_in(reader.path),
        **found.decoder,
    }
    options = {**{key: value for key, value in identified.items() if value is not None}, **options}
    model = build_model(name, task, **options)
    report = load_weights(model, reader)
    missing = [*report.missing, *report.skipped]
    if missing:
        raise UserError(
            f"{reader.path} does not have all weights of {name}: {len(missing)} variables would "
            f"stay random, first {missing[0]}. Nothing was written."
        )
    return model


def _size_in(path: str) -> str | None:
    """The WxH at the end of a published file's name, as in `espnetv2_s_2.0_city_1024x512.pth`."""
    size = _SIZE_IN_NAME.search(files.base_name(path))
    return size and size.group(1)


def _save(model: Any, output: str) -> None:
    """Writes the weights or the whole network, atomically."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, files.base_name(output))
        (model.save if output.endswith(".keras") else model.save_weights)(path)
        with open(path, "rb") as source, files.writing(output) as target:
            shutil.copyfileobj(source, target)
