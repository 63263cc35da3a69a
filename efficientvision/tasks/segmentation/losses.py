"""Segmentation losses in float32: sums over pixels, divided by a normalizer.

The normalizer is that of the global batch, so the losses of its parts add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from efficientvision.tasks.teacher import soft_class_loss

# Label of ignored pixels.
IGNORED = 255


def cross_entropy_weight(
    masks: tf.Tensor, class_weights: Sequence[float] | None = None
) -> tf.Tensor:
    """Normalizer of `cross_entropy`: the sum of the weights of all pixels not ignored.

    Args:
        masks: uint8 [B, H, W], classes 0..C-1; 255 is ignored.
        class_weights: C numbers; None means all 1.

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
    """Softmax cross entropy per pixel, weighted by class.

    With the sum of the pixel weights as normalizer it is the weighted mean, sum(w l) / sum(w).

    Args:
        logits: [B, H, W, C].
        masks: uint8 [B, H, W], classes 0..C-1; 255 is ignored.
        normalizer: float32 [], `cross_entropy_weight` of the global batch.
        class_weights: C numbers; None means all 1.

    Returns:
        float32 []: The sum over the pixels, divided by `normalizer`; 0 if that is 0.
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
    """Sigmoid cross entropy of every class, against one-hot masks.

    As in EdgeNets, pixels labelled 255 belong to no class but are not ignored. (EdgeNets' class
    weights were applied along the wrong axis and crashed.)

    Args:
        logits: [B, H, W, C].
        masks: uint8 [B, H, W], classes 0..C-1, or 255.
        normalizer: float32 [], divisor of the sum; the global batch's pixels times C give the mean.
        class_weights: C numbers by which the class losses are multiplied; None means all 1.

    Returns:
        float32 []: The sum over pixels and classes, divided by `normalizer`.
    """
    logits = tf.cast(logits, tf.float32)
    targets = tf.one_hot(tf.cast(masks, tf.int32), logits.shape[-1])
    losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    if class_weights is not None:
        losses *= tf.constant(list(class_weights), tf.float32)
    return tf.reduce_sum(losses) / normalizer


def distillation_loss(
    logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    masks: tf.Tensor,
    *,
    normalizer: tf.Tensor,
    temperature: float,
    exclusive: bool,
    class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Divergence from a teacher per pixel: see `tasks.teacher.soft_class_loss`.

    Pixels count, and are weighted, as in the loss of the labels.

    Args:
        logits: float32 [B, H, W, C], classes that the teacher has too.
        teacher_logits: float32 [B, H, W, C], the same classes.
        masks: uint8 [B, H, W], classes of the student, or 255.
        normalizer: float32 [], that of the loss of the labels.
        temperature: Divides both logits.
        exclusive: Whether a pixel has exactly one class (`cross_entropy`) or any number of them
            (`binary_cross_entropy`, where every pixel counts alike).
        class_weights: Weights of the student's classes; None means all 1.

    Returns:
        float32 []: The sum over the pixels, divided by `normalizer`; 0 if that is 0.
    """
    losses = soft_class_loss(logits, teacher_logits, temperature=temperature, exclusive=exclusive)
    if exclusive:
        losses *= _pixel_weights(masks, class_weights)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), normalizer)


def _pixel_weights(masks: tf.Tensor, class_weights: Sequence[float] | None) -> tf.Tensor:
    """float32 [B, H, W]: weight of each pixel's class, 0 for ignored pixels."""
    counts = tf.not_equal(masks, IGNORED)
    if class_weights is None:
        return tf.cast(counts, tf.float32)
    labels = tf.where(counts, tf.cast(masks, tf.int32), 0)
    weights = tf.gather(tf.constant(list(class_weights), tf.float32), labels)
    return tf.where(counts, weights, 0.0)
