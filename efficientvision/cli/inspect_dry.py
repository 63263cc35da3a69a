"""--runmode=dry: what the network consists of."""

from collections.abc import Mapping

import keras

from efficientvision import files
from efficientvision.configs import DetectionConfig, SsdConfig, TrainingConfig
from efficientvision.exports.flops import count_convolution_multiply_adds, multiply_adds_by_part
from efficientvision.files import AnyPath
from efficientvision.loading import LoadedModel
from efficientvision.runs.inspect_settings import InspectSettings
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint

# Beginning of a top-level layer's name -> part.
_DETECTOR_PARTS = {
    "efficientnet": "backbone",
    "resample_p": "extra levels",
    "fpn_cells": "feature fusion",
    "class_net": "class head",
    "box_net": "box head",
    "segmentation_head": "segmentation head",
}
_SSD_PARTS = {
    "efficientnet": "backbone",
    "base_net.basenet": "backbone",
    "base_net.extra_level": "extra levels",
    "base_net.bu_": "pyramid poolings",
    "bu_": "pyramid poolings",
    "extra_level": "extra levels",
    "cls_layers": "class heads",
    "loc_layers": "box heads",
}
# EfficientNet's and the EdgeNets' names of it; all else is the backbone.
_CLASSIFIER_PARTS = {"head": "classifier head", "classifier": "classifier head"}
# ESPNetv2's and DiCENet's names; all else is the backbone.
_SEGMENTER_PARTS = {
    **dict.fromkeys(("bu_dec", "merge_enc_dec", "bu_br", "eff_pool", "proj_enc"), "decoder"),
    "logits": "decoder",
    "auxiliary": "auxiliary output",
}
_PARTS = {
    "detection": _DETECTOR_PARTS,
    "classification": _CLASSIFIER_PARTS,
    "segmentation": _SEGMENTER_PARTS,
}


def run(settings: InspectSettings) -> None:
    """Prints parameters and multiply-adds of each part; writes the weights to --logdir."""
    loaded = settings.load_for_export()
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
    detects = isinstance(config, DetectionConfig)
    parts = _SSD_PARTS if isinstance(config, SsdConfig) else _PARTS[config.task]
    trainable = _parameters(model.trainable_weights, parts)
    total = _parameters(model.weights, parts)
    madds = multiply_adds_by_part(model, config.image_hw, parts)
    height, width = config.image_hw
    print(f"{config.name}, input {width}x{height} (WxH), {_more(config)}")
    print(f"{'part':<20}{'trainable':>14}{'all weights':>14}{'multiply-adds':>18}")
    for part in total:
        if total[part] or madds[part]:
            shown = "backbone" if part == "other" and not detects else part
            print(f"{shown:<20}{trainable[part]:>14,}{total[part]:>14,}{madds[part]:>18,}")
    sums = sum(trainable.values()), sum(total.values()), sum(madds.values())
    print(f"{'whole network':<20}{sums[0]:>14,}{sums[1]:>14,}{sums[2]:>18,}")
    counted = "backbone+fpn+box params/flops" if parts is _DETECTOR_PARTS else "params/flops"
    print(f"{counted} = {sums[0] / 1e6:.6f}M, {sums[2] / 1e9:.9f}B")
    if not detects:
        alone = count_convolution_multiply_adds(model, config.image_hw)
        print(f"multiply-adds of the convolutions alone, as EdgeNets count: {alone / 1e6:.2f}M")


def _more(config: TrainingConfig) -> str:
    """What the first line says beside name and size."""
    if isinstance(config, DetectionConfig):
        return f"fusion {config.fpn_name or 'bifpn'}"
    if isinstance(config, SsdConfig):
        return f"SSD, {config.num_object_classes} classes and the background"
    return f"{config.num_classes} classes"


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
