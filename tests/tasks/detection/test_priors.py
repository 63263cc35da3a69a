"""SSD's priors and box code against the original's."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_model
from efficientvision.data import boxes as box_ops
from efficientvision.tasks.detection.priors import (
    box_deltas_to_locations,
    decode_locations,
    generate_priors,
    prior_centers_and_sizes,
    prior_levels,
)

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets" / "ssd"
CASES = json.loads((GOLDENS / "functions.json").read_text())
ARRAYS = np.load(GOLDENS / "functions.npz")


@pytest.mark.parametrize("size", [300, 512])
def test_priors_are_the_originals(size):
    golden = CASES["priors"][str(size)]
    levels = prior_levels(size)
    assert [level.cells_hw.tolist() for level in levels] == [
        [n, n] for n in golden["config"]["feature_maps"]
    ]
    assert [level.stride_yx.tolist() for level in levels] == [
        [n, n] for n in golden["config"]["strides"]
    ]
    priors = prior_centers_and_sizes(size)
    expected = ARRAYS[f"priors_{size}"]
    assert priors.shape == expected.shape == (golden["count"], 4)
    np.testing.assert_allclose(priors, expected, rtol=0, atol=6e-8)
    assert hashlib.sha256(expected.tobytes()).hexdigest() == golden["sha256_f32"]
    # By corners.
    y, x, height, width = box_ops.centers_and_sizes(generate_priors(size))
    np.testing.assert_allclose(np.stack([x, y, width, height], -1), expected, atol=3e-7)


@pytest.mark.parametrize(
    "name, size",
    [
        *(("shufflenetv2_s_0.1", size) for size in (300, "320x192", 257, 100)),
        ("dicenet_s_0.2", 257),  # The other way of halving odd sides.
    ],
)
def test_a_network_predicts_one_prior_each(name, size):
    model = build_model(name, "detection", num_classes=2, image_size=size)
    priors = generate_priors(size)
    assert list(model.output_shape) == [(None, len(priors), 2), (None, len(priors), 4)]


def test_the_smallest_and_the_largest_may_be_chosen():
    levels = prior_levels(300, min_scale=0.05, max_scale=0.65)
    # A level's first square; thirty pixels more each level.
    assert [level.sizes_hw[0].tolist() for level in levels] == [[n, n] for n in range(15, 195, 30)]
    np.testing.assert_allclose(levels[-1].sizes_hw[1], (165 * 195) ** 0.5)
    assert (generate_priors(300, 0.05, 0.65) != generate_priors(300)).any()


def test_every_axis_goes_by_its_own_side():
    square, wide = prior_centers_and_sizes(512), prior_centers_and_sizes("512x300")
    np.testing.assert_array_equal(np.unique(wide[:, 0]), np.unique(square[:, 0]))
    np.testing.assert_array_equal(
        np.unique(wide[:, 1]), np.unique(prior_centers_and_sizes(300)[:, 1])
    )


def test_decoding_is_the_originals():
    locations = ARRAYS["decode_loc_seeded_first100"]
    priors = generate_priors(300)[:100]
    boxes = decode_locations(locations, priors).numpy()
    np.testing.assert_allclose(boxes[:, [1, 0, 3, 2]], ARRAYS["decode_corner_first100"], atol=1e-6)


def test_the_code_comes_back():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.7, (100, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.01, 0.3, (100, 2))], 1)
    boxes = boxes.astype("float32")
    priors = generate_priors(300)[5000:5100]
    locations = box_deltas_to_locations(box_ops.encode(boxes, priors))
    np.testing.assert_allclose(decode_locations(locations, priors), boxes, atol=1e-5)
    # By the paper's equation 2, over the variances.
    x, width = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    prior_x, prior_width = (priors[:, 1] + priors[:, 3]) / 2, priors[:, 3] - priors[:, 1]
    np.testing.assert_allclose(
        locations[:, 0], (x - prior_x) / prior_width / 0.1, rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        locations[:, 2], np.log(width / prior_width) / 0.2, rtol=1e-3, atol=1e-4
    )
    assert tf.is_tensor(locations)
