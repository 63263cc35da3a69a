"""SSD's larger canvas and its cuts: what they promise of objects, and where boxes go."""

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.boxes import clip_boxes
from efficientvision.data.transforms.placement import place_boxes
from efficientvision.data.transforms.sample_frame import (
    Frame,
    boxes_in_frame,
    draw_expansion,
    draw_sample,
    place_frame,
)

SOURCE = (120, 160)
BOXES = np.array([[10, 20, 60, 70], [80, 100, 110, 150]], np.float32)


def seeds(count):
    return [tf.constant([5, n], tf.int64) for n in range(count)]


def whole():
    return Frame(tf.constant([0, 0]), tf.constant(SOURCE))


def drawn(count, boxes=BOXES):
    cut = tf.function(lambda seed: draw_sample(seed, whole(), tf.constant(boxes)))
    return [tuple(np.concatenate(cut(seed)).tolist()) for seed in seeds(count)]


def iou(frame, box):
    y, x, height, width = frame
    inside = np.prod(
        np.maximum(np.minimum([y + height, x + width], box[2:]) - np.maximum([y, x], box[:2]), 0)
    )
    return inside / (height * width + np.prod(box[2:] - box[:2]) - inside)


def test_the_photo_lies_on_the_larger_canvas():
    expand = tf.function(lambda seed: draw_expansion(seed, tf.constant(SOURCE), 0.5, 4.0))
    frames = [[value.numpy() for value in expand(seed)] for seed in seeds(200)]
    ratios = np.array([hw / SOURCE for _, hw in frames])
    same = (ratios == 1.0).all(axis=1)
    assert 0.4 < same.mean() < 0.6
    assert ratios.max() <= 4.0 and ratios.max() > 3.7
    np.testing.assert_allclose(ratios[:, 0], ratios[:, 1], atol=0.01)
    for yx, hw in frames:
        assert (yx <= 0).all() and (yx + hw >= SOURCE).all()
    assert min(yx[0] for yx, _ in frames) < -150  # Not only in the corner.


def test_cuts_show_objects():
    frames = drawn(150)
    uncut = [frame for frame in frames if frame == (0, 0, *SOURCE)]
    # One kind of six asks for none, and those of large overlaps often fail.
    assert 0.15 < len(uncut) / len(frames) < 0.6
    cuts = sorted(set(frames) - set(uncut))
    assert len(cuts) > 50
    best = []
    for frame in cuts:
        y, x, height, width = frame
        assert y >= 0 and x >= 0 and y + height <= SOURCE[0] and x + width <= SOURCE[1]
        assert 0.3 * SOURCE[0] - 1 <= height and 0.3 * SOURCE[1] - 1 <= width
        assert 0.5 <= height / width <= 2.0
        centers = (BOXES[:, :2] + BOXES[:, 2:]) / 2
        assert ((centers > (y, x)) & (centers < (y + height, x + width))).all(axis=1).any()
        best.append(max(iou(frame, box) for box in BOXES))
    # Of the five least overlaps .1, .3, .7 and .9 ask for much; 0 asks for nothing.
    assert np.mean(np.array(best) >= 0.1) > 0.8 and max(best) >= 0.7


def test_an_overlap_that_nothing_reaches_is_given_up():
    """A small object: no cut can overlap it by a tenth."""
    small = np.array([[50, 50, 53, 53]], np.float32)
    assert all(
        iou(frame, small[0]) < 0.1 and frame[0] < 51.5 < frame[0] + frame[2]
        for frame in drawn(40, small)
    )


def test_without_objects_the_frame_stays():
    assert set(drawn(20, np.zeros((0, 4), np.float32))) == {(0, 0, *SOURCE)}


@pytest.mark.parametrize(
    ("yx", "hw"),
    [((0, 0), SOURCE), ((-30, -50), (200, 400)), ((20, 10), (50, 60)), ((-9, 99), (60, 61))],
)
def test_boxes_go_where_their_part_goes(yx, hw):
    image_hw = (64, 96)
    frame = Frame(tf.constant(yx), tf.constant(hw))
    placement = place_frame(frame, tf.constant(SOURCE), image_hw)
    crop_yx, crop_hw, part_yx, part_hw = (np.asarray(v) for v in placement[:4])
    assert (crop_yx >= 0).all() and (crop_yx + crop_hw <= SOURCE).all()
    assert (part_yx >= 0).all() and (part_yx + part_hw <= image_hw).all()
    expected = (BOXES - np.tile(yx, 2)) * np.tile(np.array(image_hw) / hw, 2)
    expected = np.clip(expected, 0, np.tile(image_hw, 2))
    # The part is rounded to whole pixels of the input, and the boxes follow it.
    found = clip_boxes(place_boxes(BOXES, placement), image_hw)
    np.testing.assert_allclose(found, expected, atol=0.75)


def test_a_box_stays_as_long_as_its_centre_is_seen():
    frame = Frame(tf.constant([30, 0]), tf.constant([60, 160]))
    assert boxes_in_frame(BOXES, frame).numpy().tolist() == [True, False]
