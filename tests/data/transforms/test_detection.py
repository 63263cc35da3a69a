"""Flip and jitter: the original's boxes, and boxes that stay on their pixels."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.transforms import detection, preprocess

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
INPUT = json.loads((GOLDENS / "input.json").read_text())
golden = np.load(GOLDENS / "input.npz")


def test_flipped_boxes_golden():
    np.testing.assert_allclose(
        detection.flip_boxes(golden["boxes"]), golden["flipped_boxes"], atol=1e-7
    )


@pytest.mark.parametrize("name", list(INPUT["cases"]))
def test_boxes_golden(name):
    case = INPUT["cases"][name]
    size = case["size"]
    canvas_hw = (size, size) if isinstance(size, int) else tuple(size)
    source_hw = tf.constant(INPUT["image_shape"][:2])
    plan = detection.plan_jitter(source_hw, canvas_hw, case.get("scale_min", 1.0))
    boxes = detection.place_boxes(golden["boxes"], source_hw, plan, canvas_hw)
    kept = tf.boolean_mask(boxes, detection.has_area(boxes))
    np.testing.assert_array_equal(kept, golden[f"{name}/boxes"])
    assert plan.valid_hw.numpy().tolist() == case["scaled_hw"]
    np.testing.assert_allclose(1 / plan.image_scale, case["image_scale"], rtol=1e-7)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.37, 2.0])
@pytest.mark.parametrize("fraction", [(0.0, 0.0), (0.5, 0.99)])
def test_plan_stays_inside_and_keeps_proportions(scale, fraction):
    source_hw = tf.constant([431, 640])
    plan = detection.plan_jitter(source_hw, (256, 320), scale, fraction)
    crop_yx, crop_hw, valid_hw = (np.asarray(v) for v in plan[:3])
    assert (crop_yx >= 0).all() and (crop_yx + crop_hw <= source_hw.numpy()).all()
    assert (valid_hw <= [256, 320]).all()
    np.testing.assert_allclose(crop_hw / valid_hw, plan.image_scale, rtol=0.011)
    fitted = np.array([431, 640]) / plan.image_scale.numpy()
    np.testing.assert_array_equal(valid_hw, np.minimum(fitted.astype(int), [256, 320]))


@pytest.mark.parametrize("seed", range(12))
def test_boxes_stay_on_their_pixels(seed):
    """A bright rectangle, augmented, is where its augmented box says, to a pixel."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[30:70, 50:110] = 255
    box = np.array([[30 / 120, 50 / 160, 70 / 120, 110 / 160]], np.float32)
    source_hw, canvas_hw = tf.constant([120, 160]), (128, 128)
    flip, plan = detection.draw_plan(
        tf.constant([5, seed], tf.int64), source_hw, canvas_hw,
        random_flip=True, jitter_min=0.4, jitter_max=1.8,
    )  # fmt: skip
    y, x = detection.mirrored_crop(flip, plan, source_hw).numpy()
    height, width = plan.crop_hw.numpy()
    canvas = detection.render(
        tf.constant(image[y : y + height, x : x + width]), flip, plan, canvas_hw
    )
    boxes = tf.where(flip, detection.flip_boxes(box), box)
    ymin, xmin, ymax, xmax = detection.place_boxes(boxes, source_hw, plan, canvas_hw)[0].numpy()
    rows, columns = (np.flatnonzero((canvas.numpy()[..., 0] > 127).any(axis=a)) for a in (1, 0))
    if not len(rows):
        assert ymax - ymin <= 1 or xmax - xmin <= 1
        return
    seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    # The clip of the original is to size - 1: one pixel less at the far edges.
    np.testing.assert_allclose([ymin, xmin, ymax, xmax], seen, atol=1.01)
    assert canvas.dtype == tf.uint8 and canvas.shape == (128, 128, 3)
    assert not canvas.numpy()[plan.valid_hw[0] :].any()


def test_flips_happen_for_about_half_and_only_when_asked():
    def draw(index, random_flip):
        return bool(
            detection.draw_plan(
                tf.constant([0, index], tf.int64), tf.constant([50, 50]), (32, 32),
                random_flip=random_flip, jitter_min=1.0, jitter_max=1.0,
            )[0]
        )  # fmt: skip

    assert 60 < sum(draw(i, True) for i in range(160)) < 100
    assert not any(draw(i, False) for i in range(20))


def test_pad_rows_cuts_and_fills():
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(detection.pad_rows(rows, 2, -1.0), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(detection.pad_rows(rows[:1], 2, -1.0), [[1, 2], [-1, -1]])


@pytest.mark.parametrize("name", ["train_scale0.5", "train_scale1"])
def test_training_pixels_golden(name, shared_dir):
    """Training sends whole grey levels to the device: within half a level of the reference."""
    photos = [p for p in (shared_dir / "data" / "photos").rglob("*.jpg")]
    images = (tf.io.decode_image(p.read_bytes(), channels=3) for p in photos)
    image = next((i for i in images if list(i.shape) == INPUT["image_shape"]), None)
    if image is None:
        pytest.skip("needs the reference's street scene among the shared photos")
    case = INPUT["cases"][name]
    source_hw, canvas_hw = tf.shape(image)[:2], (case["size"],) * 2
    plan = detection.plan_jitter(source_hw, canvas_hw, case["scale_min"])
    canvas = detection.render(image, tf.constant(False), plan, canvas_hw)
    stddev = INPUT["cases"]["d0_512"]["stddev_rgb"]
    normalized = preprocess.normalize(
        canvas[None], plan.valid_hw[None], INPUT["cases"]["d0_512"]["mean_rgb"], stddev
    )[0]
    np.testing.assert_allclose(
        normalized[::32, ::32], golden[f"{name}/slice32"], rtol=0, atol=0.501 / min(stddev)
    )
