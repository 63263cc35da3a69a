"""Inverted bottlenecks: what becomes of the branch beside the shortcut."""

import numpy as np
import pytest

from efficientvision.layers.mbconv import MBConv


def test_a_branch_survives_with_its_probability():
    """Whole samples lose it, and those that keep it have it enlarged: the mean stays."""
    layer = MBConv(3, 1, 4, 4, 2, se_filters=2, survival_prob=0.8, name="block")
    images = np.random.default_rng(0).normal(size=(1, 4, 4, 4)).astype("float32")
    (whole,) = np.asarray(layer(images, training=False)) - images
    branches = np.asarray(layer.drop(np.repeat(whole[None], 2000, axis=0), training=True))
    kept = np.abs(branches).max(axis=(1, 2, 3)) > 0
    assert kept.mean() == pytest.approx(0.8, abs=0.04)
    np.testing.assert_allclose(branches[kept][0], whole / 0.8, rtol=1e-5, atol=1e-6)
    assert MBConv(3, 1, 4, 4, 2, se_filters=2, survival_prob=1.0, name="sure").drop is None
