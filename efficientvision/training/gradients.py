"""Gradients of a step: the sum over replicas, the clipping, the L2 penalty."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tensorflow as tf

_REGULARIZED = re.compile(r".*(kernel|weight)$")


def is_regularized(path: str) -> bool:
    """Whether the L2 penalty covers a variable of this path: kernels only."""
    return _REGULARIZED.match(path) is not None


def l2_penalty(variables: Sequence, weight_decay: float) -> tf.Tensor:
    """`weight_decay * sum(v ** 2) / 2` over the kernels among `variables` (float32 scalar)."""
    kernels = [v for v in variables if is_regularized(v.path)]
    if not kernels or not weight_decay:
        return tf.zeros([])
    values = [tf.nn.l2_loss(tf.cast(v.value, tf.float32)) for v in kernels]
    return weight_decay * tf.add_n(values)


def all_reduce_sum(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Sums each gradient over the replicas (call in replica context)."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return list(gradients)
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))


def clip_gradients(
    gradients: Sequence[tf.Tensor], max_norm: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Clips each gradient by its norm, then all of them by their global norm.

    It must see the gradients of the global batch, that is after `all_reduce_sum`: clipped replica
    by replica, the sum would depend on how the batch was divided.

    Args:
        gradients: Gradients, any shapes.
        max_norm: Limit of both norms; 0 or less disables the clipping.

    Returns:
        The clipped gradients, and their global norm before the clipping (float32 scalar).
    """
    norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(g) for g in gradients]))
    norm = tf.norm(norms)
    if not max_norm or max_norm <= 0:
        return list(gradients), norm
    scales = max_norm / tf.maximum(norms, max_norm)
    scales *= max_norm / tf.maximum(tf.norm(norms * scales), max_norm)
    factors = tf.unstack(scales)
    return [g * factor for g, factor in zip(gradients, factors, strict=True)], norm
