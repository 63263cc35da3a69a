"""--runmode=dry and ckpt: what the network consists of, and whether a checkpoint fits."""

from collections.abc import Mapping

import keras

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.flops import count_convolution_multiply_adds, multiply_adds_by_part
from efficientvision.files import AnyPath
from efficientvision.runs import inspection
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint


def dry(settings: InspectSettings) -> None:
    """Prints parameters and multiply-adds of each part; writes the weights to --logdir."""
    loaded = inspection.load_for_export(settings)
    _print_summary(loaded)
    prefix = _write_weights(loaded.model, files.join(settings.logdir, loaded.config.name))
    print(f"weights: {prefix}")


def ckpt(settings: InspectSettings) -> None:
    """Loads the checkpoint and prints a report; with --export_ckpt writes a TF1 checkpoint."""
    settings.need("ckpt_path", "ckpt")
    loaded = inspection.load_for_export(settings)
    _print_summary(loaded)
    if settings.export_ckpt:
        _write_weights(loaded.model, settings.export_ckpt)
        print(f"export model to {settings.export_ckpt}")


def _write_weights(model: keras.Model, prefix: AnyPath) -> str:
    """Writes a TF1 checkpoint with the weights as they are loaded, averages applied."""
    variables = published_variables(model)
    return write_tf1_checkpoint(prefix, {name: v.numpy() for name, v in variables.items()})


def _print_summary(loaded: LoadedModel) -> None:
    """Prints a table: parameters (trainable, all) and multiply-adds of one image."""
    model, config = loaded.model, loaded.config
    task = task_of_config(config)
    parts = task.parts
    trainable = _parameters(model.trainable_weights, parts)
    total = _parameters(model.weights, parts)
    madds = multiply_adds_by_part(model, config.image_hw, parts)
    height, width = config.image_hw
    print(f"{config.name}, input {width}x{height} (WxH), {task.summary(config)}")
    print(f"{'part':<20}{'trainable':>14}{'all weights':>14}{'multiply-adds':>18}")
    for part in total:
        if total[part] or madds[part]:
            shown = "backbone" if part == "other" and task.rest_is_backbone else part
            print(f"{shown:<20}{trainable[part]:>14,}{total[part]:>14,}{madds[part]:>18,}")
    sums = sum(trainable.values()), sum(total.values()), sum(madds.values())
    print(f"{'whole network':<20}{sums[0]:>14,}{sums[1]:>14,}{sums[2]:>18,}")
    print(f"{task.counted_in_summary} = {sums[0] / 1e6:.6f}M, {sums[2] / 1e9:.9f}B")
    if task.rest_is_backbone:
        alone = count_convolution_multiply_adds(model, config.image_hw)
        print(f"multiply-adds of the convolutions alone, as EdgeNets count: {alone / 1e6:.2f}M")


def _parameters(variables: list, parts: Mapping[str, str]) -> dict[str, int]:
    counts = dict.fromkeys([*parts.values(), "other"], 0)
    for variable in variables:
        size = 1
        for length in variable.shape:
            size *= length
        scopes = variable.path.split("/")[:2]
        part = next(
            (p for scope in scopes for start, p in parts.items() if scope.startswith(start)),
            "other",
        )
        counts[part] += size
    return counts
