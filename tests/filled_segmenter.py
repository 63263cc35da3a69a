"""Segmentation networks with weights that let every layer count."""

import json
import pathlib

import numpy as np

from efficientvision.api import build_model
from efficientvision.loading import load_model
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.depth import cached_by_depth
from tests.filled_detector import textured_photo
from tests.store import stored

MODEL = "espnetv2_s_0.5"
NAMES = {0: "background", 1: "ant", 2: "bee", 3: "cat", 4: "dog"}
HW = (64, 96)
MEAN, STDDEV = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

_RANGES = {"gamma": (0.5, 1.5), "moving_variance": (0.5, 1.5), "alpha": (0.1, 0.4)}


def filled_segmenter(name, seed=0, **options):
    """A network of which no two layers have the same weights; sums keep their size."""
    return filled_model(build_model(name, task="segmentation", **options), seed)


def filled_model(model, seed=0):
    """The same of any network."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = variable.shape
        if variable.name == "kernel":
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        elif variable.name in _RANGES:
            value = rng.uniform(*_RANGES[variable.name], shape)
        else:
            value = rng.standard_normal(shape) * 0.1
        variable.assign(value.astype("float32"))
    return model


def weights_of(model):
    """Arrays by published name."""
    return {name: variable.numpy() for name, variable in published_variables(model).items()}


def noise(hw, batch=1, seed=1):
    """Images between -1 and 1."""
    shape = (batch, *hw, 3)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


@cached_by_depth
def loaded_segmenter() -> LoadedModel:
    """espnetv2_s_0.5 for five classes at 64x96, of which a photo has several."""
    loaded = load_model(
        None, MODEL, task="segmentation", num_classes=5, image_size=HW, label_map=NAMES
    )
    loaded.model.set_weights(filled_segmenter(MODEL, num_classes=5, image_size=HW).get_weights())
    photos = np.stack([textured_photo(*HW, seed) for seed in range(6)])
    logits = np.asarray(loaded.model(np.float32((photos - MEAN) / STDDEV)))
    # Without this one class has all pixels.
    bias = next(v for v in loaded.model.weights if v.path.endswith("merge_layer.3/bias"))
    bias.assign(bias - logits.mean(axis=(0, 1, 2)))
    return loaded


def segmenter_run() -> pathlib.Path:
    """What a training leaves of that network: weights, configuration, names."""

    def write(folder):
        loaded = loaded_segmenter()
        write_tf1_checkpoint(folder / "model", weights_of(loaded.model))
        (folder / "config.yaml").write_text(loaded.config.to_yaml())
        (folder / "labels.json").write_text(json.dumps(NAMES))

    return stored("segmenter_run", write)
