"""What the benchmarks share: a yardstick that makes machines comparable, and peak memory."""

YARDSTICK = "EfficientNetB0 features (yardstick)"


def yardstick(size):
    """Returns a function that computes features of keras.applications' EfficientNetB0.

    Args:
        size: side of the input in pixels; the batch size is 1.
    """
    import keras
    import tensorflow as tf

    model = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )
    call = tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32)],
    )
    images = tf.random.stateless_normal((1, size, size, 3), (0, 0))
    return lambda: call(images).numpy()


def peak_bytes():
    """Returns the peak resident size so far in bytes (Linux).

    `getrusage` is not used, because a child's maximum there starts with its parent's size.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])
