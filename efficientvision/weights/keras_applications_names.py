"""Names of the EfficientNets of keras.applications and keras-hub in the published names.

`block3a_project_conv` is the projection of stage 3's first block; the published names number the
blocks over all stages and the layers of one kind within a block: `blocks_3/conv2d_1`. Both
packages' files are read, with the names of the layers as `keras_files` gives them.

keras.applications pads strided convolutions as TensorFlow's SAME does, at even and at odd sizes,
and normalises pixels inside the network. keras-hub's presets are timm's weights: they pad evenly
on both sides, which is the same at odd sizes only, and add another epsilon to the variance.

Reference: https://github.com/keras-team/keras, keras/src/applications/efficientnet.py, and
https://github.com/keras-team/keras-hub, keras_hub/src/models/efficientnet (both Apache-2.0).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.efficientnet_shapes import (
    find_architecture,
    numbered,
    variable_name,
)
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION, Preprocessing, Rgb
from efficientvision.weights.strangers import Refused, refusals_name

# After the name of the model, or of several nested models.
_BLOCK = re.compile(r"(?:^|\.)block(\d{1,2})([a-z])_(\w+)\.(\w+)$")
_OUTSIDE = re.compile(r"(?:^|\.)((?:stem|top)_(?:conv|bn)|predictions)\.(\w+)$")
_NORMALIZATION = re.compile(r"(?:^|\.)normalization(?:_\d+)?\.(\w+)$")
_OUTSIDE_LAYERS = {
    "stem_conv": "stem/conv2d",
    "stem_bn": "stem/tpu_batch_normalization",
    "top_conv": "head/conv2d",
    "top_bn": "head/tpu_batch_normalization",
    "predictions": "head/dense",
}
# Layer -> layer of a block that expands; in one that does not, numbers are one less.
_LAYERS = {
    "expand_conv": ("conv2d", 0),
    "expand_bn": ("tpu_batch_normalization", 0),
    "dwconv": ("depthwise_conv2d", None),
    "bn": ("tpu_batch_normalization", 1),
    "dwconv_bn": ("tpu_batch_normalization", 1),
    "se_reduce": ("se/conv2d", None),
    "se_expand": ("se/conv2d_1", None),
    "project_conv": ("conv2d", 1),
    "project": ("conv2d", 1),
    "project_bn": ("tpu_batch_normalization", 2),
}
_FIRST_DEPTHWISE = re.compile(r"(?:^|\.)block1a_dwconv\.weight$")
_OF_KERAS_HUB = re.compile(r"(?:^|\.)block1a_dwconv_bn\.")
_MEAN, _VARIANCE = ("0", "mean"), ("1", "variance")
# What weights="imagenet" stores as the variance. It is the standard deviation: the network then
# divides by its square root once more, in a layer that has no weights.
_IMAGENET_VARIANCE = (0.229, 0.224, 0.225)
_HUB_EPSILON, _EPSILON = 1e-5, 1e-3
_RA4_PRESET = re.compile(r"efficientnet_\w+_ra4_")
_HUB_PADDING = (
    "keras-hub pads strided convolutions evenly, as PyTorch does, and this network as TensorFlow's "
    "SAME does: results equal keras-hub's at sizes of 32 n + 1 (225, 257, ...); at others features "
    "are shifted by part of their stride, which is fine to start a training with; an EfficientDet "
    "has the option padding=symmetric"
)
_HUB_PREPROCESSING = (
    "a file of keras-hub does not tell how pixels are normalised: the presets with ra4 in their "
    "name take mean_rgb=127.5,stddev_rgb=127.5, the others ImageNet's values"
)


def published(reader: CheckpointReader) -> CheckpointReader:
    """Gives an EfficientNet of keras.applications or keras-hub the published names.

    Args:
        reader: A Keras file as `keras_files` opens it.

    Returns:
        The reader under published names, with the preprocessing that is inside the network; any
        other file's reader as it is.

    Raises:
        UserError: The file holds two EfficientNets, or one of an unknown architecture.
    """
    if not any(map(_FIRST_DEPTHWISE.search, reader.shapes)):
        return reader
    names = published_names(reader.shapes)
    with refusals_name(reader.path):
        if len(set(names.values())) < len(names):
            raise Refused("holds two EfficientNets of Keras: save the one that is to be loaded")
        own = {ours: reader.shapes[name] for name, ours in names.items()}
        backbone = find_architecture(own)
        if backbone is None:
            raise Refused(
                "holds a network of Keras other than EfficientNet-B0 to B8, L2, lite0 to lite4: "
                "it has the names of their layers, but not their shapes"
            )
    names = {name: f"{backbone}/{ours}" for name, ours in names.items()}
    found = dataclasses.replace(
        reader,
        shapes={ours: reader.shapes[name] for name, ours in names.items()},
        keys={ours: reader.keys[name] for name, ours in names.items()},
        auxiliary=tuple(key for name, key in reader.keys.items() if name not in names),
    )
    if any(map(_OF_KERAS_HUB.search, reader.shapes)):
        return _of_keras_hub(found)
    with refusals_name(reader.path):
        return dataclasses.replace(found, preprocessing=_preprocessing(reader))


def published_names(names: Iterable[str]) -> dict[str, str]:
    """Name in the file -> published name without the backbone's own.

    Args:
        names: For example `efficientnetb0.block2a_expand_conv.weight`.

    Returns:
        Without the names of other layers.
    """
    names = list(names)
    matches = {name: match for name in names if (match := _BLOCK.search(name))}
    blocks = {(int(m.group(1)), m.group(2)) for m in matches.values()}
    expands = {
        (int(m.group(1)), m.group(2)) for m in matches.values() if m.group(3) == "expand_conv"
    }
    counts = Counter(stage for stage, _ in blocks)
    stages = sorted(counts)
    starts = dict(
        zip(stages, itertools.accumulate((counts[s] for s in stages), initial=0), strict=False)
    )
    found = {}
    for name in names:
        if match := matches.get(name):
            stage, letter, layer, leaf = int(match.group(1)), *match.groups()[1:]
            if layer not in _LAYERS:
                continue
            kind, number = _LAYERS[layer]
            if number is not None:
                kind = numbered(kind, number - ((stage, letter) not in expands))
            index = starts[stage] + ord(letter) - ord("a")
            found[name] = variable_name(f"blocks_{index}/{kind}", leaf)
        elif match := _OUTSIDE.search(name):
            found[name] = variable_name(_OUTSIDE_LAYERS[match.group(1)], match.group(2))
    return found


def _preprocessing(reader: CheckpointReader) -> Preprocessing | None:
    """The normalisation of pixels inside a network of keras.applications.

    It computes `(pixel / 255 - mean) / sqrt(variance)`, and divides by `sqrt(variance)` again in
    the published networks.

    Raises:
        Refused: A number is not finite, or a variance is not positive.
    """
    leaves = {m.group(1): name for name in reader.shapes if (m := _NORMALIZATION.search(name))}
    names = [leaves.get(first, leaves.get(second, "")) for first, second in (_MEAN, _VARIANCE)]
    if any(np.prod(reader.shapes.get(name, (0,))) != 3 for name in names):
        return None
    mean, variance = (np.ravel(a).astype(np.float64) for a in reader.read_many(names).values())
    if not (np.isfinite([mean, variance]).all() and variance.min() > 0):
        raise Refused("holds impossible numbers for the normalisation of pixels: fetch it again")
    imagenet = np.allclose(variance, _IMAGENET_VARIANCE, atol=1e-4)
    if imagenet and np.allclose(mean, np.divide(IMAGENET[0], 255), atol=1e-4):
        return Preprocessing(*IMAGENET, "keras.applications")
    stddev = variance if imagenet else np.sqrt(variance)
    return Preprocessing(_pixels(mean), _pixels(stddev), "the normalisation layer in the file")


def _pixels(values: np.ndarray) -> Rgb:
    red, green, blue = (255 * values).tolist()
    return red, green, blue


def _of_keras_hub(reader: CheckpointReader) -> CheckpointReader:
    """Variances for our epsilon; notes on what differs or is not in the file."""
    variances = {key for name, key in reader.keys.items() if name.endswith("/moving_variance")}

    def fetch(keys: Sequence[str]) -> list[np.ndarray]:
        values = reader.fetch(keys)
        shift = np.float32(_HUB_EPSILON - _EPSILON)
        return [v + shift if k in variances else v for k, v in zip(keys, values, strict=True)]

    mean_stddev, which = IMAGENET, "most of keras-hub's EfficientNet presets"
    if _RA4_PRESET.search(reader.path):
        mean_stddev, which = INCEPTION, "keras-hub's ra4 presets, recognised by the path"
    return dataclasses.replace(
        reader,
        fetch=fetch,
        notes=(*reader.notes, _HUB_PADDING, _HUB_PREPROCESSING),
        preprocessing=Preprocessing(*mean_stddev, which),
    )
