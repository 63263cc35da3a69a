"""A small classifier whose weights are a function of a seed, shared by several tests."""

import json
import pathlib

import keras
import numpy as np

from efficientvision.loading import load_model
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.depth import cached_by_depth
from tests.filled_detector import textured_photo
from tests.filled_segmenter import weights_of
from tests.store import stored

NAMES = {1: "ant", 2: "bee", 3: "cat", 4: "dog", 5: "emu", 6: "fox"}
MODEL = "shufflenetv2_s_0.1"
SIDE = 64
MEAN, STDDEV = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@cached_by_depth
def filled_classifier() -> LoadedModel:
    """shufflenetv2_s_0.1 for six classes at 64 pixels; its classes differ from photo to photo."""
    keras.utils.set_random_seed(0)
    loaded = load_model(None, MODEL, num_classes=6, image_size=SIDE, label_map=NAMES)
    photos = np.stack([textured_photo(SIDE, SIDE, seed) for seed in range(8)])
    logits = keras.ops.convert_to_numpy(loaded.model((photos - np.float32(MEAN)) / STDDEV))
    *_, kernel, bias = loaded.model.trainable_weights
    # Logits of a useful size and spread: without this every photo looks the same.
    spread = logits.std(axis=0).mean()
    kernel.assign(kernel * 2 / spread)
    bias.assign(-logits.mean(axis=0) * 2 / spread)
    return loaded


def classifier_run() -> pathlib.Path:
    """What a training leaves of it: weights, configuration, names."""

    def write(folder):
        loaded = filled_classifier()
        write_tf1_checkpoint(folder / "model", weights_of(loaded.model))
        (folder / "config.yaml").write_text(loaded.config.to_yaml())
        (folder / "labels.json").write_text(json.dumps(NAMES))

    return stored("classifier_run", write)
