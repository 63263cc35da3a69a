"""EdgeNets' weights for Cityscapes are those of its recipe, and of the rule for other data."""

import json
import math
import pathlib

import numpy as np
import pytest

from efficientvision.data.class_pixels import balanced_weights
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.segmentation.class_weights import CITYSCAPES_WEIGHTS
from efficientvision.tasks.segmentation.task import class_weights

GOLDEN = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets" / "segmentation_recipe.json"


def weights_of(**options):
    config = get_config("espnetv2_s_2.0", options, task="segmentation")
    return class_weights(config, "none.tfrecord")


def test_published_weights():
    recipe = json.loads(GOLDEN.read_text())
    assert recipe["class_weights"]["city"] == list(CITYSCAPES_WEIGHTS)
    assert weights_of(num_classes=19, class_weights="city") == CITYSCAPES_WEIGHTS[:19]
    assert weights_of(num_classes=2, class_weights=[1, 3]) == (1.0, 3.0)
    assert weights_of() is None
    with pytest.raises(UserError, match="num_classes=11"):
        weights_of(num_classes=11, class_weights="city")


def test_they_follow_from_the_shares_of_pixels():
    """Shares that the published weights stand for are shares: they add up to less than 1."""
    shares = np.array([math.exp(1 / weight) - 1.10 for weight in CITYSCAPES_WEIGHTS[:19]])
    assert (shares > 0).all() and 0.8 < shares.sum() < 1
    pixels = np.zeros(256)
    pixels[:19], pixels[255] = 1e9 * shares, 1e9 * (1 - shares.sum())
    assert balanced_weights(pixels, 19) == pytest.approx(CITYSCAPES_WEIGHTS[:19], rel=1e-6)
