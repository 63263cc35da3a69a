"""The losses against EdgeNets' number and against formulas written out."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.classification.losses import binary_cross_entropy, cross_entropy

GOLDENS = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets"
GOLDEN = json.loads((GOLDENS / "classification.json").read_text())
ARRAYS = np.load(GOLDENS / "classification.npz")


def test_binary_cross_entropy_is_edgenets_training_loss():
    """Theirs is the mean over 4 images and 80 classes, times 80."""
    labels = ARRAYS["ml_target_n3c"].max(axis=1)[:4]
    found = binary_cross_entropy(ARRAYS["ml_logits"][:4], labels, normalizer=tf.constant(4.0))
    assert float(found) == pytest.approx(GOLDEN["multilabel"]["train_loss_of_first4 (x80)"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_written_out(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)).astype("float32"), np.array([0, 3, 1, 1, 2])
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    # As torch.nn.CrossEntropyLoss(label_smoothing=...): part of it is the mean over all classes.
    per_image = -(1 - smoothing) * log_p[np.arange(5), labels] - smoothing * log_p.mean(axis=1)
    found = cross_entropy(logits, labels, normalizer=tf.constant(5.0), label_smoothing=smoothing)
    assert float(found) == pytest.approx(per_image.mean(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_written_out(smoothing):
    """Targets of 1 - s/2 and s/2, summed over the classes."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)).astype("float32"), rng.integers(0, 2, (5, 4))
    targets = np.where(labels, 1 - smoothing / 2, smoothing / 2)
    p = 1 / (1 + np.exp(-logits))
    per_image = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(axis=1)
    found = binary_cross_entropy(
        logits, labels, normalizer=tf.constant(5.0), label_smoothing=smoothing
    )
    assert float(found) == pytest.approx(per_image.mean(), rel=1e-5)


def test_an_unknown_class_does_not_count():
    logits = tf.constant([[3.0, 1.0], [0.0, 2.0]])
    with_unknown = cross_entropy(
        logits, tf.constant([-1, 1]), normalizer=tf.constant(1.0), label_smoothing=0.2
    )
    alone = cross_entropy(
        logits[1:], tf.constant([1]), normalizer=tf.constant(1.0), label_smoothing=0.2
    )
    assert float(with_unknown) == pytest.approx(float(alone))


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy])
def test_parts_of_a_batch_add_up(loss):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6, 3)).astype("float32")
    labels = rng.integers(0, 2, (6, 3)) if loss is binary_cross_entropy else np.arange(6) % 3
    whole, total = (tf.constant(6.0),) * 2
    parts = [loss(logits[a:b], labels[a:b], normalizer=total) for a, b in ((0, 2), (2, 6))]
    assert float(sum(parts)) == pytest.approx(float(loss(logits, labels, normalizer=whole)))
