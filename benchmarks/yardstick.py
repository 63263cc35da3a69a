"""The yardstick of all benchmarks, which makes their ratios comparable between machines."""

import keras
import tensorflow as tf

YARDSTICK = "EfficientNetB0 features (yardstick)"


def yardstick(size):
    """Returns a function that computes features of keras.applications' EfficientNetB0.

    Args:
        size: side of the input in pixels; the batch size is 1.
    """
    model = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )
    call = tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32)],
    )
    images = tf.random.stateless_normal((1, size, size, 3), (0, 0))
    return lambda: call(images).numpy()
