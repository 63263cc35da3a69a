"""Batch normalisation whose statistics are those of all replicas of a `tf.distribute` strategy."""

import keras
from keras import ops


def synchronized_batch_norm(
    values: keras.KerasTensor, gamma: keras.KerasTensor, beta: keras.KerasTensor, epsilon: float
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Normalises with the mean and variance over all replicas, which have equally many values.

    Two replicas must train exactly as one does, so sums are computed with care: axis by axis,
    because summing tens of thousands of float32 values one after the other is off by 1e-6, which
    grows with every layer; and the squares are taken around the mean, because the mean of squares
    minus the squared mean loses the variance of a nearly constant channel.

    Args:
        values: float32 [N, ..., C].
        gamma, beta: float32 [C], scale and offset.
        epsilon: Added to the variance.

    Returns:
        The outputs, shaped like `values`; the mean and the (biased) variance, float32 [C], which
        do not propagate gradients.

    Reference: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, algorithm 1 and the
    gradients that follow it.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def normalize(values, gamma, beta):
        mean = _over_replicas(_mean(values))
        centred = values - mean
        variance = _over_replicas(_mean(tf.square(centred)))
        inverse = tf.math.rsqrt(variance + epsilon)
        normalized = centred * inverse

        def gradient(outputs, *_):
            own = tf.concat([_mean(outputs), _mean(outputs * normalized)], axis=0)
            mean, along = tf.split(_over_replicas(own), 2)
            inputs = (gamma * inverse) * (outputs - mean - normalized * along)
            count = tf.cast(tf.size(values) // tf.size(gamma), values.dtype)
            beta_part, gamma_part = tf.split(own * count, 2)
            return inputs, gamma_part, beta_part

        return (normalized * gamma + beta, mean, variance), gradient

    return normalize(values, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def replica_count() -> int:
    """Number of replicas of the strategy in scope."""
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _mean(values):
    """float32 [C], the mean over all axes but the last, taken one by one."""
    for _ in range(len(values.shape) - 1):
        values = ops.mean(values, axis=0)
    return values


def _over_replicas(value):
    """The mean of the replicas' values."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)
