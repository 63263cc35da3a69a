"""Batch normalisation with TensorFlow's fused kernel."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="efficientvision")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation over the last axis, as the published networks used it.

    Keras' own layer computes moments and scaling as separate operations and stores the biased
    batch variance. The published statistics were written by TensorFlow's fused kernel, which
    stores the unbiased one (times n / (n - 1)); the difference is a factor of two on a 1x1 map
    of a batch of two. On the TensorFlow backend this layer calls the fused kernel, which is also
    the faster one; on other backends it computes the same numbers with `keras.ops`.

    Args:
        frozen: normalise with the moving statistics in training too and leave them untouched,
            while gamma and beta are still trained (the original's `is_training_bn=False`).
        synchronized: take the batch statistics over all replicas of a `tf.distribute` strategy.
        momentum, epsilon, **kwargs: as `keras.layers.BatchNormalization`.

    Input and output: `[N, ..., C]` in the layer's compute dtype; statistics in float32.

    Reference: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, algorithms 1 and 2.
    """

    def __init__(
        self, momentum: float = 0.99, epsilon: float = 1e-3, frozen: bool = False, **kwargs: Any
    ):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.frozen = frozen

    def call(self, inputs, training=None, mask=None):
        train = bool(training) and self.trainable and not self.frozen
        tensorflow = keras.backend.backend() == "tensorflow"
        if train and self.synchronized and tensorflow:
            return self._synchronized(inputs)
        if tensorflow and len(inputs.shape) == 4:
            return self._fused(inputs, train)
        if not train:
            return super().call(inputs, training=False, mask=mask)
        return self._unfused_training(inputs)

    def _fused(self, inputs, train):
        import tensorflow as tf

        unknown = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=unknown if train else tf.convert_to_tensor(self.moving_mean),
            variance=unknown if train else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=train,
        )
        if train:
            self._update_statistics(mean, variance)
        return outputs

    def _synchronized(self, inputs):
        from efficientvision.layers import synchronized_norm

        values = ops.cast(inputs, "float32")
        outputs, mean, variance = synchronized_norm.synchronized_batch_norm(
            values, self.gamma, self.beta, self.epsilon
        )
        count = _count(values) * synchronized_norm.replica_count()
        self._update_statistics(mean, _unbiased(variance, count))
        return ops.cast(outputs, self.compute_dtype)

    def _unfused_training(self, inputs):
        axes = list(range(len(inputs.shape) - 1))
        values = ops.cast(inputs, "float32")
        mean, variance = ops.moments(values, axes)
        outputs = ops.batch_normalization(
            values, mean, variance, -1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        self._update_statistics(mean, _unbiased(variance, _count(values)))
        return ops.cast(outputs, self.compute_dtype)

    def _update_statistics(self, mean, variance):
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1.0 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frozen": self.frozen}


def _count(values):
    """Values of each channel."""
    return ops.cast(ops.size(values) // ops.shape(values)[-1], "float32")


def _unbiased(variance, count):
    return variance * count / ops.maximum(count - 1.0, 1.0)
