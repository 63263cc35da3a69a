"""A classifier for every runtime: resized photo in, probabilities out."""

from typing import Any

import tensorflow as tf

from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.classification.serving import probabilities


def portable_classifier(model: Any, config: ClassificationConfig, *, batch_size: int = 1) -> Any:
    """Traces the network with normalisation and softmax (or sigmoid), with static shapes.

    Args:
        model: a Keras classifier, images [N, h, w, 3] -> logits [N, K].
        config: its hyper-parameters.
        batch_size: number of images per batch.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, prepared by
        `serving.fit_photos`. It returns a dict with `probabilities`, float32 [N, K].
    """
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    def run(images):
        logits = model((images - mean) / stddev, training=False)
        result = probabilities(logits, config.multi_label)
        return {"probabilities": tf.identity(result, name="probabilities")}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()
