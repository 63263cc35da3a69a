"""A small classifier whose weights are a function of a seed, shared by several tests."""

import functools
import pathlib

import keras
import numpy as np

from efficientvision.export.saved_model import export_saved_model
from efficientvision.export.serving import build_serving
from efficientvision.loading import LoadedModel, load_model, serving_metadata
from tests.filled_detector import textured_photo
from tests.store import stored

NAMES = {1: "ant", 2: "bee", 3: "cat", 4: "dog", 5: "emu", 6: "fox"}
MODEL = "espnetv2_s_0.5"
SIDE = 64
MEAN, STDDEV = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@functools.cache
def filled_classifier(multi_label: bool = False) -> LoadedModel:
    """espnetv2_s_0.5 for six classes at 64 pixels; its classes differ from photo to photo."""
    keras.utils.set_random_seed(0)
    loaded = load_model(
        None, MODEL, num_classes=6, image_size=SIDE, label_map=NAMES, multi_label=multi_label
    )
    photos = np.stack([textured_photo(SIDE, SIDE, seed) for seed in range(8)])
    logits = keras.ops.convert_to_numpy(loaded.model((photos - np.float32(MEAN)) / STDDEV))
    *_, kernel, bias = loaded.model.trainable_weights
    # Logits of a useful size and spread: without this every photo looks the same.
    spread = logits.std(axis=0).mean()
    kernel.assign(kernel * 2 / spread)
    bias.assign(-logits.mean(axis=0) * 2 / spread)
    return loaded


def exported_classifier(multi_label: bool = False) -> pathlib.Path:
    """The classifier as a SavedModel for a batch of one, made once for all tests."""

    def export(folder):
        loaded = filled_classifier(multi_label)
        serving = build_serving(loaded.model, loaded.config)
        export_saved_model(serving, folder, serving_metadata(loaded, batch_size=1))

    return stored("classifier_of_labels" if multi_label else "classifier", export)
