"""Networks of a handful of layers under the configuration of a published one.

What an export, a command or a predictor does with a network shows on these; what is special to the
published networks is seen on those (`tests/filled_*.py`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from efficientvision.configs import TrainingConfig
from efficientvision.exports.artifacts import FORMATS, IN_INTEGERS
from efficientvision.exports.saved_model import export_saved_model
from efficientvision.exports.write_portable import write_portable
from efficientvision.layers.bilinear import BilinearResize
from efficientvision.layers.normalization import BatchNorm
from efficientvision.layers.prelu import PReLU
from efficientvision.loading import class_names, serving_metadata
from efficientvision.runs import inspection
from efficientvision.tasks.choice import build_serving, get_config
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.segmentation import photo_sized
from tests.depth import cached_by_depth
from tests.filled_detector import textured_photo
from tests.filled_segmenter import filled_model
from tests.store import stored

CLASSIFIER = SEGMENTER = "espnetv2_s_0.5"
DETECTOR, SSD = "efficientdet-d0", "shufflenetv2_s_0.5"
CLASS_NAMES = {1: "ant", 2: "bee", 3: "cat", 4: "dog", 5: "emu", 6: "fox"}
PIXEL_NAMES = {0: "background", 1: "ant", 2: "bee", 3: "cat", 4: "dog"}
OBJECT_NAMES = {1: "ant", 2: "bee", 3: "cat"}
# Height and width differ, so that no test is blind to an exchange.
SIDE, SEGMENTER_HW, DETECTOR_HW, SSD_HW = 64, (64, 96), (96, 128), (64, 96)
# Not those of the published detectors.
PRIOR_SCALES = {"min_scale": 0.15, "max_scale": 0.9}
_LEVELS = {"min_level": 3, "max_level": 5, "anchor_scale": 2.0}
_ANCHORS = 9


@cached_by_depth
def small_classifier(multi_label: bool = False) -> LoadedModel:
    """Six classes at 64 pixels, which differ from photo to photo."""
    options = {"num_classes": 6, "image_size": SIDE, "multi_label": multi_label}
    options["label_map"] = CLASS_NAMES
    return _loaded(get_config(CLASSIFIER, options, task="classification"))


@cached_by_depth
def small_segmenter() -> LoadedModel:
    """Five classes at 64x96, of which a photo has several."""
    options = {"num_classes": 5, "image_size": SEGMENTER_HW, "label_map": PIXEL_NAMES}
    return _loaded(get_config(SEGMENTER, options, task="segmentation"))


@cached_by_depth
def small_detector() -> LoadedModel:
    """An EfficientDet's three levels for three classes at 96x128, hard NMS, scores from 0.6 on."""
    options = {
        "num_classes": 3,
        "image_size": DETECTOR_HW,
        "label_map": OBJECT_NAMES,
        "nms_configs": {"method": "hard", "score_thresh": 0.6},
        **_LEVELS,
    }
    return _loaded(get_config(DETECTOR, options, task="detection"))


@cached_by_depth
def small_ssd() -> LoadedModel:
    """An SSD for three classes and the background at 64x96, scores from 0.5 on."""
    options = {
        "num_classes": 4,
        "image_size": SSD_HW,
        "label_map": OBJECT_NAMES,
        "nms_configs": {"score_thresh": 0.5},
        **{f"prior_{name}": value for name, value in PRIOR_SCALES.items()},
    }
    return _loaded(get_config(SSD, options, task="detection"))


SMALL = {
    "classifier": small_classifier,
    "classifier_of_labels": functools.partial(small_classifier, True),
    "segmenter": small_segmenter,
    "detector": small_detector,
    "ssd": small_ssd,
}


def exported(kind: str, **facts: Any) -> pathlib.Path:
    """One of `SMALL` as a SavedModel for a batch of one, made once for all tests.

    Args:
        kind: its name.
        **facts: of its metadata, for example a segmenter's `result`.
    """

    def export(folder: pathlib.Path) -> None:
        loaded = SMALL[kind]()
        serving = build_serving(loaded.model, loaded.config, **facts)
        metadata = dataclasses.replace(serving_metadata(loaded, batch_size=1), **facts)
        export_saved_model(serving, folder, metadata)

    return stored("-".join(["small", kind, *map(str, facts.values())]), export)


def portable_file(
    kind: str, form: str, *, nms: str | None = None, batch_size: int = 1, **facts: Any
) -> pathlib.Path:
    """One of `SMALL` in a portable format, made once for all tests.

    Args:
        kind: its name.
        form: the format.
        nms: of a detector.
        batch_size: photos at a time.
        **facts: of its metadata.
    """
    suffix = FORMATS[form].suffix

    def write(folder: pathlib.Path) -> None:
        loaded = SMALL[kind]()
        metadata = dataclasses.replace(serving_metadata(loaded, batch_size=batch_size), **facts)
        images = (textured_photo(*loaded.config.image_hw, seed) for seed in range(8))
        write_portable(
            loaded.model,
            loaded.config,
            metadata,
            FORMATS[form],
            folder / f"made{suffix}",
            nms=nms,
            calibration=[np.float32(image)[np.newaxis] for image in images]
            if FORMATS[form].precision in IN_INTEGERS
            else (),
        )

    said = [kind, form, nms or "usual", batch_size, *facts.values()]
    return stored("-".join(["small", *map(str, said)]), write) / f"made{suffix}"


@pytest.fixture
def small_networks_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """model_inspect.py builds one of these whatever --ckpt_path is; all other flags count.

    What it loads and how is seen in one test of each task, without this fixture.
    """

    def load(path, model_name=None, hparams=None, *, task=None, **overrides):
        loaded = SMALL[_kind(path)]()
        config = copy.deepcopy(loaded.config)
        config.override(hparams or {})
        config.override(overrides)
        changed = (config.image_hw, config.num_classes)
        if changed != (loaded.config.image_hw, loaded.config.num_classes):
            loaded = _loaded(config)
        return LoadedModel(loaded.model, config, loaded.class_names)

    monkeypatch.setattr(inspection, "load_model", load)
    monkeypatch.setattr(photo_sized, "build_from_config", _network)


def _kind(path):
    if path not in SMALL:
        raise ValueError(f"--ckpt_path={path} is none of {', '.join(SMALL)}")
    return path


def _loaded(config: TrainingConfig) -> LoadedModel:
    model = filled_model(_network(config), seed=3)
    photos = np.stack([textured_photo(*config.image_hw, seed) for seed in range(8)])
    outputs = model(np.float32((photos - np.float32(config.mean_rgb)) / config.stddev_rgb))
    kind = "ssd" if isinstance(config, SsdConfig) else config.task
    for name, values in _last_values(config, outputs).items():
        _spread(model.get_layer(name), values, *_SPREADS[kind, name])
    return LoadedModel(model, config, class_names(config))


# Mean and spread of what the last layers say: scores of all kinds, boxes near their anchors.
_SPREADS = {
    ("classification", "classifier"): (0.0, 2.0),
    ("segmentation", "bu_dec"): (0.0, 2.0),
    ("detection", "class_net"): (-2.4, 1.2),
    ("detection", "box_net"): (0.0, 0.15),
    ("ssd", "cls_layers"): (0.0, 0.7),
    ("ssd", "loc_layers"): (0.0, 0.5),
}


def _last_values(config, outputs):
    """What each of the last layers says, [values, channels]."""
    if isinstance(config, SsdConfig):
        pairs = zip(("cls_layers", "loc_layers"), outputs, strict=True)
        return {name: np.reshape(value, [len(value), -1]) for name, value in pairs}
    if isinstance(config, DetectionConfig):
        pairs = zip(("class_net", "box_net"), outputs, strict=True)
        return {name: np.concatenate([_rows(x) for x in levels]) for name, levels in pairs}
    return {{"classification": "classifier", "segmentation": "bu_dec"}[config.task]: _rows(outputs)}


def _rows(values):
    return np.reshape(values, [-1, values.shape[-1]])


def _spread(layer, values, mean, spread):
    kernel, bias = layer.weights
    factor = spread / values.std(axis=0).mean()
    kernel.assign(kernel * factor)
    bias.assign(mean + (bias - values.mean(axis=0)) * factor)


def _network(config: TrainingConfig) -> keras.Model:
    """Images [N, h, w, 3] to what a network of that configuration gives.

    The last layers have names of the published ones' parts.
    """
    layers = keras.layers
    images = keras.Input((*config.image_hw, 3))
    x = layers.Conv2D(16, 5, strides=2, padding="same", use_bias=False)(images)
    x = PReLU()(BatchNorm()(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(BatchNorm()(x))
    # Wide: weights are to be most of a file.
    x = BatchNorm()(layers.Conv2D(96, 3, padding="same")(x))
    x = BatchNorm()(layers.Conv2D(96, 3, strides=2, padding="same")(layers.ReLU()(x)))
    x = layers.ReLU()(x)
    if config.task == "classification":
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, layers.Dense(config.num_classes, name="classifier")(x))
    if config.task == "segmentation":
        x = layers.Conv2D(config.num_classes, 1, name="bu_dec")(x)
        return keras.Model(images, BilinearResize(config.image_hw)(x))
    if isinstance(config, SsdConfig):
        priors = len(generate_priors(**config.anchor_options))
        x = layers.Flatten()(layers.Conv2D(8, 4, strides=4)(x))
        classes = layers.Dense(priors * config.num_classes, name="cls_layers")(x)
        boxes = layers.Dense(priors * 4, name="loc_layers")(x)
        outputs = ((classes, config.num_classes), (boxes, 4))
        return keras.Model(images, [layers.Reshape((priors, n))(value) for value, n in outputs])
    classes = layers.Conv2D(_ANCHORS * config.num_classes, 3, padding="same", name="class_net")
    boxes = layers.Conv2D(_ANCHORS * 4, 3, padding="same", name="box_net")
    levels = [x]
    for _ in range(config.max_level - config.min_level):
        levels.append(layers.MaxPooling2D(3, strides=2, padding="same")(levels[-1]))
    return keras.Model(images, [[classes(x) for x in levels], [boxes(x) for x in levels]])
