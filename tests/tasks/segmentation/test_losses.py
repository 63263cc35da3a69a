"""The losses against EdgeNets' numbers, and against formulas written out where theirs crashed."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.segmentation.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_weight,
)

GOLDENS = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets"
GOLDEN = json.loads((GOLDENS / "segmentation_functions.json").read_text())["segmentation_loss"]
ARRAYS = np.load(GOLDENS / "segmentation_functions.npz")
LOGITS = ARRAYS["seg_logits"].transpose(0, 2, 3, 1)
MASKS = ARRAYS["seg_target"].astype("uint8")
WEIGHTS = tuple(float(w) for w in ARRAYS["seg_class_wts"])


def mean(loss, logits=LOGITS, masks=MASKS, weights=None):
    if loss is cross_entropy:
        normalizer = cross_entropy_weight(tf.constant(masks), weights)
    else:
        normalizer = tf.constant(float(logits.size))
    return float(loss(logits, tf.constant(masks), normalizer=normalizer, class_weights=weights))


def test_the_golden_has_ignored_pixels():
    assert 0 < (MASKS == 255).sum() < MASKS.size


def test_cross_entropy_is_edgenets():
    assert mean(cross_entropy) == pytest.approx(GOLDEN["ce"], rel=1e-6)


def test_weighted_cross_entropy_is_the_weighted_mean():
    assert mean(cross_entropy, weights=WEIGHTS) == pytest.approx(GOLDEN["ce_weighted"], rel=1e-6)


def test_an_auxiliary_outputs_loss_is_added():
    second = ARRAYS["seg_logits2"].transpose(0, 2, 3, 1)
    both = mean(cross_entropy, weights=WEIGHTS) + mean(cross_entropy, second, weights=WEIGHTS)
    assert both == pytest.approx(GOLDEN["ce_weighted_tuple_sum"], rel=1e-6)


def test_binary_cross_entropy_is_edgenets():
    assert mean(binary_cross_entropy) == pytest.approx(GOLDEN["bce"], rel=1e-6)


def test_binary_cross_entropy_with_weights_written_out():
    one_hot = MASKS[..., None] == np.arange(LOGITS.shape[-1])
    losses = np.logaddexp(0.0, LOGITS) - LOGITS * one_hot
    expected = (losses * np.array(WEIGHTS)).mean()
    assert mean(binary_cross_entropy, weights=WEIGHTS) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy])
def test_parts_of_a_batch_add_up(loss):
    """The two images have different numbers of ignored pixels."""
    counts = (MASKS != 255).sum(axis=(1, 2))
    assert counts[0] != counts[1]
    options = {
        "normalizer": cross_entropy_weight(tf.constant(MASKS), WEIGHTS),
        "class_weights": WEIGHTS,
    }
    whole = loss(LOGITS, MASKS, **options)
    parts = [loss(LOGITS[i : i + 1], MASKS[i : i + 1], **options) for i in range(2)]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-6)


def test_a_batch_without_a_pixel_that_counts_has_no_loss():
    assert mean(cross_entropy, masks=np.full_like(MASKS, 255)) == 0.0
