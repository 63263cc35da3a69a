"""Losses of segmentation networks, in float32, as sums over pixels divided by a number.

A batch's losses are sums divided by a normalizer of the whole global batch, so that those of its
parts add up to them.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

# Of a pixel that does not count.
IGNORED = 255


def cross_entropy_weight(
    masks: tf.Tensor, class_weights: Sequence[float] | None = None
) -> tf.Tensor:
    """What `cross_entropy` divides by: the sum of the weights of the pixels that count.

    Args:
        masks: uint8 [B, H, W], classes 0..C-1; 255 does not count.
        class_weights: C numbers; None: all 1.

    Returns:
        float32 [].
    """
    return tf.reduce_sum(_pixel_weights(masks, class_weights))


def cross_entropy(
    logits: tf.Tensor,
    masks: tf.Tensor,
    *,
    normalizer: tf.Tensor,
    class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Softmax cross entropy of the pixels, each weighted by its class.

    With the sum of the pixels' weights as normalizer it is the weighted mean, sum(w l) / sum(w).

    Args:
        logits: [B, H, W, C].
        masks: uint8 [B, H, W], classes 0..C-1; 255 does not count.
        normalizer: float32 [], `cross_entropy_weight` of the global batch.
        class_weights: C numbers; None: all 1.

    Returns:
        float32 []: the sum over the pixels, divided by `normalizer`; 0 where that is 0.
    """
    weights = _pixel_weights(masks, class_weights)
    labels = tf.where(tf.equal(masks, IGNORED), 0, tf.cast(masks, tf.int32))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(losses * weights), normalizer)


def binary_cross_entropy(
    logits: tf.Tensor,
    masks: tf.Tensor,
    *,
    normalizer: tf.Tensor,
    class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Sigmoid cross entropy of every class by itself, against one-hot masks.

    As in EdgeNets, a pixel of label 255 is one of no class, and not left out; their weights, which
    crashed, stood along the wrong axis.

    Args:
        logits: [B, H, W, C].
        masks: uint8 [B, H, W], classes 0..C-1, or 255.
        normalizer: float32 [], what the sum is divided by: pixels times C of the global batch make
            it the mean.
        class_weights: C numbers by which the losses of the classes are multiplied; None: all 1.

    Returns:
        float32 []: the sum over pixels and classes, divided by `normalizer`.
    """
    logits = tf.cast(logits, tf.float32)
    targets = tf.one_hot(tf.cast(masks, tf.int32), logits.shape[-1])
    losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    if class_weights is not None:
        losses *= tf.constant(list(class_weights), tf.float32)
    return tf.reduce_sum(losses) / normalizer


def _pixel_weights(masks: tf.Tensor, class_weights: Sequence[float] | None) -> tf.Tensor:
    """float32 [B, H, W]: the weight of each pixel's class, 0 for the ignored ones."""
    counts = tf.not_equal(masks, IGNORED)
    if class_weights is None:
        return tf.cast(counts, tf.float32)
    labels = tf.where(counts, tf.cast(masks, tf.int32), 0)
    weights = tf.gather(tf.constant(list(class_weights), tf.float32), labels)
    return tf.where(counts, weights, 0.0)
