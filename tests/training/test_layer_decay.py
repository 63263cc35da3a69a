"""Learning rates by stage: factors of the networks' variables, and of whom they leave alone."""

import pytest

from efficientvision.training.layer_decay import with_layer_decay

pytestmark = pytest.mark.published_depth

EFFICIENTDET = {
    "efficientnet-lite0/stem/conv2d/kernel": 8,
    "efficientnet-lite0/blocks_0/depthwise_conv2d/kernel": 7,
    "efficientnet-lite0/blocks_1/conv2d/kernel": 6,
    "efficientnet-lite0/blocks_2/conv2d/kernel": 6,
    "efficientnet-lite0/blocks_15/conv2d_1/kernel": 1,
    "fpn_cells/cell_0/fnode0/op_after_combine5/conv/kernel": 0,
    "class_net/class-predict/bias": 0,
}
CLASSIFIER = {
    "efficientnet-b4/blocks_31/conv2d/kernel": 1,
    "efficientnet-b4/head/dense/kernel": 0,
}
SEGMENTER = {  # Its backbone ends at level 4.
    "base_net/level1/conv/kernel": 4,
    "base_net/level3.0/proj_1x1/conv/kernel": 2,
    "base_net/level4_0/eesp/proj_1x1/conv/kernel": 1,
    "bu_br_32x32/0/gamma": 0,
}


@pytest.mark.parametrize("depths", [EFFICIENTDET, CLASSIFIER, SEGMENTER])
def test_powers_by_stage(depths):
    factor = with_layer_decay(None, 0.5, depths)
    assert {path: factor(path) for path in depths} == {p: 0.5**d for p, d in depths.items()}


def test_multiplies_other_factors_and_is_off_at_one():
    def head(path):
        return 10.0 if "class_net" in path else 1.0

    factor = with_layer_decay(head, 0.5, EFFICIENTDET)
    assert factor("class_net/class-predict/bias") == 10.0
    assert factor("efficientnet-lite0/stem/conv2d/kernel") == 0.5**8
    assert with_layer_decay(head, 1.0, EFFICIENTDET) is head
    assert with_layer_decay(None, 1.0, EFFICIENTDET) is None
