import ast

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.detection.anchors import feature_sizes, generate_anchors

NAMES = [
    "anchors_128",
    "anchors_512",
    "anchors_640x896",
    "anchors_odd_130x201",
    "anchors_str_320x192",
    "anchors_pairs_perlevel_128",
    "anchors_level3to8_256",
]


@pytest.mark.parametrize("name", NAMES)
def test_anchors_are_the_originals(name, cases, arrays):
    case = cases["anchors"][name]
    anchors = generate_anchors(
        case["image_size"],
        case["min_level"],
        case["max_level"],
        case["num_scales"],
        case["aspect_ratios"],
        case["anchor_scale"],
    )
    assert anchors.dtype == np.float32
    assert anchors.shape == (case["num"], 4)
    np.testing.assert_allclose(anchors.sum(axis=0, dtype=np.float64), case["column_sums"])
    if name in arrays:
        np.testing.assert_allclose(anchors, arrays[name], atol=1e-4)
    else:
        np.testing.assert_allclose(anchors[::997], arrays[f"{name}_every997"], atol=1e-4)
        np.testing.assert_allclose(anchors[:27], arrays[f"{name}_first27"], atol=1e-4)
        np.testing.assert_allclose(anchors[-9:], arrays[f"{name}_last9"], atol=1e-4)


def test_feature_sizes_round_up(cases):
    for size, expected in cases["anchors"]["feat_sizes"].items():
        assert [list(hw) for hw in feature_sizes(ast.literal_eval(size), 7)] == expected


def test_caller_may_change_the_anchors():
    generate_anchors(64)[:] = 0
    assert generate_anchors(64).any()


def test_one_scale_per_level_or_an_error():
    with pytest.raises(UserError, match="2 entries for the 5 levels 3..7"):
        generate_anchors(64, anchor_scale=[1.0, 2.0])
