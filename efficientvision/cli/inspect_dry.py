"""--runmode=dry: what the network consists of."""

import keras

from efficientvision import files
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.export.flops import multiply_adds_by_part
from efficientvision.files import AnyPath
from efficientvision.loading import LoadedModel
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint

# Beginning of a top-level layer's name -> part.
_PARTS = {
    "efficientnet": "backbone",
    "resample_p": "extra levels",
    "fpn_cells": "feature fusion",
    "class_net": "class head",
    "box_net": "box head",
    "segmentation_head": "segmentation head",
}


def run(settings: InspectSettings) -> None:
    """Prints parameters and multiply-adds of each part; writes the weights to --logdir."""
    loaded = settings.load()
    print_summary(loaded)
    prefix = write_weights(loaded.model, files.join(settings.logdir, loaded.config.name))
    print(f"weights: {prefix}")


def write_weights(model: keras.Model, prefix: AnyPath) -> str:
    """Writes a TF1 checkpoint with the weights as they are loaded, averages applied."""
    variables = published_variables(model)
    return write_tf1_checkpoint(prefix, {name: v.numpy() for name, v in variables.items()})


def print_summary(loaded: LoadedModel) -> None:
    """Prints a table: parameters (trainable, all) and multiply-adds of one image."""
    model, config = loaded.model, loaded.config
    trainable = _parameters(model.trainable_weights)
    total = _parameters(model.weights)
    madds = multiply_adds_by_part(model, config.image_hw, _PARTS)
    height, width = config.image_hw
    print(f"{config.name}, input {width}x{height} (WxH), fusion {config.fpn_name or 'bifpn'}")
    print(f"{'part':<20}{'trainable':>14}{'all weights':>14}{'multiply-adds':>18}")
    for part in [*_PARTS.values(), "other"]:
        if total[part] or madds[part]:
            print(f"{part:<20}{trainable[part]:>14,}{total[part]:>14,}{madds[part]:>18,}")
    sums = sum(trainable.values()), sum(total.values()), sum(madds.values())
    print(f"{'whole network':<20}{sums[0]:>14,}{sums[1]:>14,}{sums[2]:>18,}")
    print(f"backbone+fpn+box params/flops = {sums[0] / 1e6:.6f}M, {sums[2] / 1e9:.9f}B")


def _parameters(variables: list) -> dict[str, int]:
    counts = dict.fromkeys([*_PARTS.values(), "other"], 0)
    for variable in variables:
        size = 1
        for length in variable.shape:
            size *= length
        scopes = variable.path.split("/")[:2]
        part = next(
            (p for scope in scopes for start, p in _PARTS.items() if scope.startswith(start)),
            "other",
        )
        counts[part] += size
    return counts
