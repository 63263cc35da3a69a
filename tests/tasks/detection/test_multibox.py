"""SSD's matching and loss against the original's numbers."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.detection.matching import AnchorTargets
from efficientvision.tasks.detection.multibox import assign_priors, mined_negatives, multibox_losses
from efficientvision.tasks.detection.priors import generate_priors

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets" / "ssd"
CASES = json.loads((GOLDENS / "functions.json").read_text())
ARRAYS = np.load(GOLDENS / "functions.npz")
PRIORS = generate_priors(300)


def matched(size, jit_compile=None):
    golden = CASES["match_priors"][str(size)]
    boxes = np.float32(golden["gt_boxes_corner"])[None, :, [1, 0, 3, 2]]
    # Padding rows change nothing.
    boxes = np.concatenate([boxes, np.full((1, 3, 4), -1, np.float32)], 1)
    classes = np.int32([[*golden["gt_labels"], -1, -1, -1]])
    assign = tf.function(assign_priors, jit_compile=jit_compile)
    return golden, assign(generate_priors(size), boxes, classes)


@pytest.mark.parametrize("size, jit_compile", [(300, False), (512, False), (300, True)])
def test_matches_are_the_originals(size, jit_compile):
    golden, targets = matched(size, jit_compile)
    labels = targets.class_targets[0].numpy()
    positive = np.nonzero(labels)[0]
    assert float(targets.num_positives[0]) == len(positive) == golden["n_pos"]
    np.testing.assert_array_equal(positive, ARRAYS[f"match{size}_pos_index"])
    np.testing.assert_array_equal(labels[positive], ARRAYS[f"match{size}_pos_labels"])
    digest = hashlib.sha256(labels.astype(np.int64).tobytes()).hexdigest()
    assert digest == golden["labels_sha256_i64"]
    np.testing.assert_allclose(
        targets.box_targets.numpy()[0, positive], ARRAYS[f"match{size}_pos_loc"], atol=2e-4
    )
    assert not targets.box_targets.numpy()[0, labels == 0].any()


def test_of_two_boxes_that_want_a_prior_the_later_wins():
    box = PRIORS[9000] + np.float32([0.0, 0.0, 0.003, 0.003])
    boxes = np.stack([box, box + np.float32([0.0, 0.0, 0.002, 0.002])])[None]
    for classes in ([[4, 7]], [[7, 4]]):
        targets = assign_priors(PRIORS, boxes, np.int32(classes))
        assert int(targets.class_targets[0, 9000]) == classes[0][1]


def given_targets():
    labels = ARRAYS["mbl_labels"].astype(np.int32)
    positives = (labels > 0).sum(1).astype(np.float32)
    return AnchorTargets(labels, ARRAYS["mbl_gt_loc"], positives)


@pytest.mark.parametrize("ratio", [3, 1])
def test_losses_are_the_originals(ratio):
    golden = CASES["multibox_loss"][f"neg_pos_ratio_{ratio}"]
    losses = multibox_losses(
        ARRAYS["mbl_conf"], ARRAYS["mbl_pred_loc"], given_targets(), ratio=ratio
    )
    assert float(losses["cls_loss"]) == pytest.approx(golden["classification"], rel=1e-6)
    assert float(losses["box_loss"]) == pytest.approx(golden["smooth_l1"], rel=1e-6)
    assert float(losses["det_loss"]) == pytest.approx(golden["total"], rel=1e-6)


def test_the_same_negatives_are_mined():
    background = -tf.nn.log_softmax(ARRAYS["mbl_conf"])[..., 0]
    positive = given_targets().class_targets > 0
    mined = mined_negatives(background, positive).numpy()
    np.testing.assert_array_equal(mined | positive, ARRAYS["mbl_mask_ratio3"])
    assert (mined | positive).sum(1).tolist() == CASES["multibox_loss"]["n_selected_per_image"]


def test_equal_losses_are_counted_once():
    """Every prior as wrong as the next, as at the start of a training."""
    positive = np.zeros((2, 100), bool)
    positive[0, [3, 50]] = True
    mined = mined_negatives(tf.fill([2, 100], 0.7), positive).numpy()
    assert mined.sum(1).tolist() == [6, 0] and not (mined & positive).any()
    few = np.arange(8) < 6
    assert mined_negatives(tf.fill([1, 8], 0.7), few[None]).numpy().sum() == 2


def test_parts_of_a_batch_add_up():
    targets, conf, loc = given_targets(), ARRAYS["mbl_conf"], ARRAYS["mbl_pred_loc"]
    whole = multibox_losses(conf, loc, targets)
    total = targets.num_positives.sum()
    parts = [
        multibox_losses(
            conf[i : i + 1],
            loc[i : i + 1],
            AnchorTargets(*(field[i : i + 1] for field in targets)),
            normalizer=total,
        )
        for i in range(2)
    ]
    for name, value in whole.items():
        assert float(value) == pytest.approx(sum(float(part[name]) for part in parts), rel=1e-6)


def test_nothing_to_find_costs_nothing():
    conf = tf.Variable(ARRAYS["mbl_conf"])
    loc = tf.Variable(ARRAYS["mbl_pred_loc"])
    boxes, classes = np.full((2, 4, 4), -1, np.float32), np.full((2, 4), -1, np.int32)
    targets = assign_priors(PRIORS[:60], boxes, classes)
    assert not targets.class_targets.numpy().any()
    assert np.isfinite(targets.box_targets.numpy()).all()
    with tf.GradientTape() as tape:
        losses = multibox_losses(conf, loc, targets)
    assert {float(value) for value in losses.values()} == {0.0}
    for gradient in tape.gradient(losses["det_loss"], [conf, loc]):
        assert not tf.convert_to_tensor(gradient).numpy().any()


def test_gradients_agree_with_differences():
    targets = given_targets()
    conf, loc = tf.constant(ARRAYS["mbl_conf"]), tf.constant(ARRAYS["mbl_pred_loc"])
    with tf.GradientTape() as tape:
        tape.watch([conf, loc])
        loss = multibox_losses(conf, loc, targets)["det_loss"]
    slopes = tape.gradient(loss, [conf, loc])
    rng = np.random.default_rng(1)
    for which, values in enumerate((conf, loc)):
        step = rng.standard_normal(values.shape).astype(np.float32) * 1e-3
        moved = [[conf, loc], [conf, loc]]
        moved[0][which], moved[1][which] = values + step, values - step
        up, down = (float(multibox_losses(*pair, targets)["det_loss"]) for pair in moved)
        assert (up - down) / 2 == pytest.approx(
            float(tf.reduce_sum(slopes[which] * step)), rel=0.02
        )
