"""Polygons and run lengths -> masks, and outlines that make no sense."""

import numpy as np
import pytest
from pycocotools import mask as mask_api

from efficientvision.data.outlines import object_mask
from efficientvision.errors import UserError


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    mask = (rng.random((height, width)) < (0.02, 0.5, 0.98)[seed % 3]).astype(np.uint8)
    mask[: seed * 5] = 0
    compressed = mask_api.encode(np.asfortranarray(mask))
    text = {"size": [int(height), int(width)], "counts": compressed["counts"].decode()}
    np.testing.assert_array_equal(object_mask({"segmentation": text}, height, width), mask)
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    runs = np.diff([0, *changes, flat.size]).tolist()
    plain = {"size": [int(height), int(width)], "counts": runs}
    np.testing.assert_array_equal(object_mask({"segmentation": plain}, height, width), mask)


def test_polygons():
    mask = object_mask({"segmentation": [[2, 1, 6, 1, 6, 4, 2, 4], [0, 6, 3, 6, 3, 8]]}, 8, 9)
    assert mask[1:4, 2:6].all() and mask.sum() > 12 and mask.shape == (8, 9)
    assert not object_mask({"segmentation": None}, 8, 9).any()


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 9], "counts": [0, 10**6]},
        {"size": [8, 9], "counts": [-1, 73]},
        {"size": [8, 9], "counts": [10**30]},
        {"size": [8, 9], "counts": "\u00e9"},
        {"size": [8, 9], "counts": "oooooooooooooooooooooooo"},
        {"size": [9, 8], "counts": [72]},
        {"counts": [72]},
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 1e18, 6]],
        [[1, 2, 3, 4, float("nan"), 6]],
        "polygon",
        [7],
    ],
)
def test_outlines_without_sense(segmentation):
    with pytest.raises(UserError, match="annotation 5 has no valid outline"):
        object_mask({"id": 5, "segmentation": segmentation}, 8, 9)
