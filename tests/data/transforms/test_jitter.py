"""Scale jitter: the original's boxes, and crops that stay inside and keep proportions."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.transforms import jitter, orientation, preprocess
from efficientvision.data.transforms.boxes import clip_to_last_pixel, has_area
from efficientvision.data.transforms.placement import place_boxes, render

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
INPUT = json.loads((GOLDENS / "input.json").read_text())
golden = np.load(GOLDENS / "input.npz")


@pytest.mark.parametrize("name", list(INPUT["cases"]))
def test_boxes_golden(name):
    case = INPUT["cases"][name]
    size = case["size"]
    canvas_hw = (size, size) if isinstance(size, int) else tuple(size)
    source_hw = tf.constant(INPUT["image_shape"][:2])
    plan, image_scale = jitter.plan_jitter(source_hw, canvas_hw, case.get("scale_min", 1.0))
    boxes = clip_to_last_pixel(place_boxes(golden["boxes"], plan, source_hw), canvas_hw)
    kept = tf.boolean_mask(boxes, has_area(boxes))
    np.testing.assert_array_equal(kept, golden[f"{name}/boxes"])
    assert plan.part_hw.numpy().tolist() == case["scaled_hw"]
    np.testing.assert_allclose(1 / image_scale, case["image_scale"], rtol=1e-7)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.37, 2.0])
@pytest.mark.parametrize("fraction", [(0.0, 0.0), (0.5, 0.99)])
def test_plan_stays_inside_and_keeps_proportions(scale, fraction):
    source_hw = tf.constant([431, 640])
    plan, image_scale = jitter.plan_jitter(source_hw, (256, 320), scale, fraction)
    crop_yx, crop_hw, part_yx, valid_hw = (np.asarray(v) for v in plan[:4])
    assert (crop_yx >= 0).all() and (crop_yx + crop_hw <= source_hw.numpy()).all()
    assert (part_yx == 0).all() and (valid_hw <= [256, 320]).all()
    np.testing.assert_allclose(crop_hw / valid_hw, image_scale, rtol=0.011)
    fitted = np.array([431, 640]) / image_scale.numpy()
    np.testing.assert_array_equal(valid_hw, np.minimum(fitted.astype(int), [256, 320]))


@pytest.mark.parametrize("frame_hw", [(40, 300), (128, 96), (200, 31)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 2.0])
def test_frames_are_filled_at_the_scale_of_the_jitter_or_more(frame_hw, scale):
    source_hw = tf.constant([431, 640])
    plan, image_scale = jitter.plan_jitter(
        source_hw, (256, 320), scale, (0.99, 0.5), frame_hw=tf.constant(frame_hw), fill_frame=True
    )
    crop_yx, crop_hw, part_yx, valid_hw = (np.asarray(v) for v in plan[:4])
    assert part_yx.tolist() == [0, 0] and valid_hw.tolist() == list(frame_hw)
    assert (crop_yx >= 0).all() and (crop_yx + crop_hw <= source_hw.numpy()).all()
    least = max(frame_hw[0] / 431, frame_hw[1] / 640)
    fitted = min(int(256 * scale) / 431, int(320 * scale) / 640)
    np.testing.assert_allclose(1 / image_scale, max(least, fitted), rtol=1e-6)
    np.testing.assert_allclose(crop_hw / valid_hw, image_scale, rtol=0.04)


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
    plan, _ = jitter.plan_jitter(source_hw, canvas_hw, case["scale_min"])
    upright = orientation.Orientation(*[tf.constant(False)] * 3)
    pixels = render(image, upright, plan)
    canvas = preprocess.pad_to_canvas(pixels, canvas_hw)
    stddev = INPUT["cases"]["d0_512"]["stddev_rgb"]
    normalized = preprocess.normalize(
        canvas[None], plan.part_hw[None], INPUT["cases"]["d0_512"]["mean_rgb"], stddev
    )[0]
    np.testing.assert_allclose(
        normalized[::32, ::32], golden[f"{name}/slice32"], rtol=0, atol=0.501 / min(stddev)
    )
