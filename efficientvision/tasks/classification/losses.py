"""Losses of classifiers, in float32, as sums over images divided by a number of images."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, *, normalizer: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Softmax cross entropy, for one class an image.

    Args:
        logits: [B, K].
        labels: int32 [B], 0..K-1; an image with another number does not count.
        normalizer: float32 [], images of the global batch.
        label_smoothing: share of the target that is spread over all classes.

    Returns:
        float32 []: the sum over the images, divided by `normalizer`.
    """
    logits = tf.cast(logits, tf.float32)
    num_classes = logits.shape[-1]
    targets = tf.one_hot(labels, num_classes)
    known = tf.reduce_sum(targets, axis=-1, keepdims=True)
    targets = targets * (1.0 - label_smoothing) + known * (label_smoothing / num_classes)
    losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(losses * known[:, 0]) / normalizer


def binary_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, *, normalizer: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Sigmoid cross entropy summed over the classes, for any number of classes an image.

    EdgeNets train COCO's 80 classes with the mean over images and classes, times 80: that is the
    sum over the classes, for any number of them.

    Args:
        logits: [B, K].
        labels: [B, K], 1 for the classes that an image has, else 0.
        normalizer: float32 [], images of the global batch.
        label_smoothing: the targets are drawn so far towards 0.5.

    Returns:
        float32 []: the sum over images and classes, divided by `normalizer`.
    """
    logits = tf.cast(logits, tf.float32)
    targets = tf.cast(labels, tf.float32) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(losses) / normalizer
