"""Coverage of boxes by anchors, against every anchor one by one; suggestions."""

import numpy as np
import pytest

from efficientvision.data.boxes import iou
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.anchor_coverage import (
    best_anchor_iou,
    cluster_aspect_ratios,
    coverage,
    suggest_anchors,
    suggest_priors,
)
from efficientvision.tasks.detection.anchors import generate_anchors


def boxes_of(heights, widths, image_hw, seed=0):
    """Boxes of these sizes at random places inside an image."""
    random = np.random.default_rng(seed)
    heights, widths = np.broadcast_arrays(np.asarray(heights, float), np.asarray(widths, float))
    y = random.uniform(0, image_hw[0] - heights)
    x = random.uniform(0, image_hw[1] - widths)
    return np.stack([y, x, y + heights, x + widths], axis=-1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_size": "320x200"},  # Cells that are no whole pixels.
        {"aspect_ratios": [[1.4, 0.7], [0.7, 1.4]], "num_scales": 2},
        {"anchor_scale": 1.5, "min_level": 4, "max_level": 6},
    ],
)
def test_agrees_with_every_anchor_one_by_one(changes):
    options = get_config("efficientdet-d0", {"image_size": 256, **changes}).anchor_options
    random = np.random.default_rng(3)
    image_hw = options["image_hw"]
    sizes = random.uniform(2, np.array(image_hw)[:, None] * 0.95, (2, 60))
    boxes = boxes_of(*sizes, image_hw)
    every = iou(boxes[:, None], generate_anchors(**options)[None].astype(float), xp=np)
    np.testing.assert_allclose(best_anchor_iou(boxes, **options), every.max(axis=-1), atol=1e-6)


def test_anchors_of_one_size_cover_boxes_of_that_size_only():
    options = {
        "image_hw": (64, 64), "min_level": 3, "max_level": 3, "num_scales": 1,
        "aspect_ratios": [1.0], "anchor_scale": 2.0,
    }  # fmt: skip
    on_cell = np.array([[20 - s / 2, 20 - s / 2, 20 + s / 2, 20 + s / 2] for s in (8, 16, 23, 32)])
    # Squares around one centre: the ratio of their areas.
    found = best_anchor_iou(on_cell, **options)
    np.testing.assert_allclose(found, [0.25, 1.0, 256 / 529, 0.25], rtol=1e-6)
    assert coverage(found, np.array([1, 2, 2, 1])) == {1: 0.0, 2: 0.5}


def test_small_boxes_ask_for_a_smaller_scale():
    options = get_config("efficientdet-d0", "image_size=256").anchor_options
    sizes = np.random.default_rng(1).uniform(10, 16, 200)
    boxes = np.concatenate(
        [boxes_of(sizes, sizes, (256, 256)), boxes_of([90] * 50, 90, (256, 256))]
    )
    classes = np.repeat([1, 2], [200, 50])
    before = coverage(best_anchor_iou(boxes, **options), classes)
    changes, after = suggest_anchors(boxes, classes, **options)
    assert before[1] < 0.1 and set(changes) == {"anchor_scale"}
    assert changes["anchor_scale"] < 2.5 and after[1] > 0.7 and after[2] > 0.9
    again = coverage(best_anchor_iou(boxes, **{**options, **changes}), classes)
    assert again == pytest.approx(after)


def test_long_boxes_ask_for_long_anchors():
    options = get_config("efficientdet-d0", "image_size=512").anchor_options
    heights = np.random.default_rng(1).uniform(20, 60, 300)
    boxes = boxes_of(heights, 7 * heights, (512, 512))
    changes, after = suggest_anchors(boxes, np.ones(300, int), **options)
    assert min(changes["aspect_ratios"]) == pytest.approx(7, rel=0.02)
    assert after[1] > 0.95


def test_good_anchors_are_left_alone():
    options = get_config("efficientdet-d0", "image_size=512").anchor_options
    sizes = np.random.default_rng(1).uniform(35, 300, 200)
    changes, _ = suggest_anchors(boxes_of(sizes, sizes, (512, 512)), np.ones(200, int), **options)
    assert changes == {}


def test_aspect_ratios_gather_where_the_boxes_are():
    boxes = np.concatenate(
        [
            boxes_of(40, 40 * ratio * np.linspace(0.95, 1.05, 30), (900, 900))
            for ratio in (0.3, 1, 4)
        ]
    )
    assert cluster_aspect_ratios(boxes, 3) == pytest.approx([0.3, 1.0, 4.0], rel=0.03)
    assert cluster_aspect_ratios(boxes_of([40] * 9, 40, (99, 99)), 3) == [1.0]


def test_small_boxes_ask_for_smaller_priors():
    """At 300 pixels the smallest prior has 30; what covers its boxes is left alone."""
    used = {"image_hw": (300, 300), "min_scale": 0.1, "max_scale": 1.05}
    classes = np.ones(200, int)
    small, large = (
        boxes_of(sizes, sizes, (300, 300))
        for sizes in np.random.default_rng(2).uniform([[14], [80]], [[22], [120]], (2, 200))
    )
    assert suggest_priors(large, classes, **used)[0] == {}
    changes, shares = suggest_priors(small, classes, **used)
    assert changes["prior_min_scale"] < 0.1 and shares[1] > 0.9
    better = {name.removeprefix("prior_"): value for name, value in changes.items()}
    assert suggest_priors(small, classes, **{**used, **better})[0] == {}
