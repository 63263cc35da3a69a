"""Gradients of a step: sum over replicas, clipping, regularisation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tensorflow as tf

from efficientvision.training.flat_variables import FlatVariables

_REGULARIZED = re.compile(r".*(kernel|weight)$")


def is_regularized(path: str) -> bool:
    """Whether the L2 penalty covers the variable with this path (kernels only)."""
    return _REGULARIZED.match(path) is not None


def all_reduce_sum(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Sums each gradient over the replicas (call in replica context)."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return list(gradients)
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))


def clip_gradients(
    groups: Sequence[FlatVariables], gradients: Sequence[tf.Tensor], max_norm: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Clips each variable's gradient by its norm, then all of them by their global norm.

    Call it after `all_reduce_sum`, on gradients of the global batch: clipping per replica would
    make the result depend on how the batch was divided.

    Args:
        groups: The variables, in groups.
        gradients: Gradient of each group, float32 [size].
        max_norm: Limit of both norms; 0 or less disables clipping.

    Returns:
        The clipped gradients, and their global norm before clipping (float32 scalar).
    """
    parts = [group.split(g) for group, g in zip(groups, gradients, strict=True)]
    norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(part) for group in parts for part in group]))
    norm = tf.norm(norms)
    if not max_norm or max_norm <= 0:
        return list(gradients), norm

    def clipped() -> list[tf.Tensor]:
        scales = max_norm / tf.maximum(norms, max_norm)
        scales *= max_norm / tf.maximum(tf.norm(norms * scales), max_norm)
        factors = iter(tf.unstack(scales))
        return [
            group.join([part * next(factors) for part in own])
            for group, own in zip(groups, parts, strict=True)
        ]

    # Most steps are not clipped and should not pay for the multiplication.
    return tf.cond(norm > max_norm, clipped, lambda: list(gradients)), norm
