"""Portable segmenters for all runtimes: from resized photos to class maps or logits."""

from typing import Any

import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.exports.segmentation_serving import network_logits


def portable_segmenter(
    model: Any, config: TrainingConfig, *, result: str, batch_size: int = 1
) -> Any:
    """Traces the network with normalisation and an optional argmax, with static shapes.

    Args:
        model: a Keras segmenter, images [N, h, w, 3] -> logits [N, h, w, C].
        config: its hyper-parameters.
        result: `"class_map"` or `"logits"`.
        batch_size: number of images per batch.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, prepared by
        `fit_photos`. It returns a dict with `class_map`, int32 [N, h, w], or `logits`, float32
        [N, h, w, C].
    """
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    def run(images):
        found = tf.cast(network_logits(model, (images - mean) / stddev), tf.float32)
        if result == "class_map":
            found = tf.argmax(found, axis=-1, output_type=tf.int32)
        return {result: tf.identity(found, name=result)}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()
