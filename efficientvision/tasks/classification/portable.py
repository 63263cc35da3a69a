"""A classifier in every runtime: resized photo in, probabilities out, and what surrounds it."""

from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.serving import fit_photos, probabilities
from efficientvision.tasks.portable import PortableNetwork, check_number, of_photos, output


def portable_classifier(model: Any, config: ClassificationConfig, *, batch_size: int = 1) -> Any:
    """Traces the network with normalisation and softmax (or sigmoid), with static shapes.

    Args:
        model: a Keras classifier, images [N, h, w, 3] -> logits [N, K].
        config: its hyper-parameters.
        batch_size: number of images per batch.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, prepared by
        `fit_photos`. It returns a dict with `probabilities`, float32 [N, K].
    """
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    def run(images):
        logits = model((images - mean) / stddev, training=False)
        result = probabilities(logits, config.multi_label)
        return {"probabilities": tf.identity(result, name="probabilities")}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()


class ClassificationRunner:
    """Resizes and crops photos and runs the network."""

    def __init__(self, network: PortableNetwork, metadata: ClassificationMetadata):
        self._network = network
        self._metadata = metadata
        self._prepare = of_photos(
            lambda photos: fit_photos(photos, metadata.image_hw, metadata.crop_fraction)
        )

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        check_number(photos, self._metadata)
        images = self._prepare(photos).numpy().astype(np.float32)
        return output(self._network(images), self._metadata.result_name)
