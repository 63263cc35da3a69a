"""What every benchmark is measured beside, so that its ratios mean the same on every machine."""

import keras
import tensorflow as tf

YARDSTICK = "EfficientNetB0 features (yardstick)"


def yardstick(size):
    """The features of keras.applications' EfficientNetB0, as a function without arguments.

    Args:
        size: side of the input, pixels; the batch is one image.
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
