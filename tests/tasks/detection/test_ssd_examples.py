"""SSD's training examples: boxes follow the pixels; the seed decides everything."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.detection.augmentation import SsdAugmentation
from efficientvision.tasks.detection.pipeline import detection_dataset

HW = (96, 64)
PLAIN = SsdAugmentation(
    input_rand_hflip=False, photometric_distortion=False, expand_prob=0.0, sample_crop=False
)


def train(pattern, **options):
    options = {"image_hw": HW, "batch_size": 4, "training": True, "seed": 7, **options}
    return detection_dataset(pattern, stretch=True, **options)


def collect(dataset, steps):
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.take(steps)]


def same(a, b):
    return all(np.array_equal(x[k], y[k]) for x, y in zip(a, b, strict=True) for k in x)


def test_shapes_and_types(make_records):
    pattern = make_records(5, boxes_per_image=(1, 0, 3))
    spec = train(pattern, max_instances_per_image=9).element_spec
    assert {k: (tuple(s.shape), s.dtype.name) for k, s in spec.items()} == {
        "images": ((4, 96, 64, 3), "uint8"),
        "valid_hw": ((4, 2), "int32"),
        "gt_boxes_yxyx": ((4, 9, 4), "float32"),
        "gt_classes": ((4, 9), "int32"),
        "source_id": ((4,), "string"),
    }


@pytest.mark.slow
def test_order_and_augmentation_follow_the_seed_and_resume(make_records):
    pattern = make_records(10, boxes_per_image=(1, 2))
    first = collect(train(pattern), 8)
    assert same(first[1:], collect(train(pattern, start_step=1), 7))
    assert not same(first[:2], collect(train(pattern, seed=8), 2))


@pytest.mark.parametrize(
    ("options", "image_format"),
    [
        ({}, "PNG"),
        ({"input_rand_vflip": True, "input_rand_rot90": True}, "PNG"),
        ({"sample_crop": False}, "PNG"),
        ({}, "JPEG"),
    ],
    ids=["usual", "turned", "canvas", "jpeg"],
)
def test_boxes_lie_on_the_red_pixels(make_records, options, image_format):
    """Objects are red all over, and what lies around them is not."""
    blurred = 0.5 if image_format == "JPEG" else 0.3
    augmentation = SsdAugmentation(photometric_distortion=False, **options)
    boxes_seen = 0
    for batch in collect(
        train(make_records(9, image_format=image_format), augmentation=augmentation), 10
    ):
        for image, boxes in zip(batch["images"], batch["gt_boxes_yxyx"], strict=True):
            image = np.pad(image.astype(int), [(3, 3), (3, 3), (0, 0)])
            redness = (image[..., 0] - image[..., 1]) / 255
            for box in boxes[boxes[:, 0] >= 0]:
                ymin, xmin, ymax, xmax = np.round(box).astype(int) + 3
                if min(ymax - ymin, xmax - xmin) < 5:
                    continue
                boxes_seen += 1
                assert redness[ymin + 2 : ymax - 2, xmin + 2 : xmax - 2].mean() > 0.8
                around = [
                    redness[ymin - 2, xmin:xmax],
                    redness[ymax + 1, xmin:xmax],
                    redness[ymin:ymax, xmin - 2],
                    redness[ymin:ymax, xmax + 1],
                ]
                assert max(line.mean() for line in around) < blurred
    assert boxes_seen > 25


def test_the_canvas_has_the_fill_colour(make_records):
    augmentation = SsdAugmentation(expand_prob=1.0, sample_crop=False, mean_rgb=(10.0, 200.0, 30.0))
    (batch,) = collect(train(make_records(4), augmentation=augmentation), 1)
    filled = (batch["images"] == [10, 200, 30]).all(axis=-1)
    assert filled.mean() > 0.3 and not filled.all(axis=(1, 2)).any()


def test_plain_examples_are_what_an_evaluation_sees(make_records):
    pattern = make_records(4)
    batch = collect(train(pattern, augmentation=PLAIN), 1)[0]
    (seen,) = collect(
        detection_dataset(pattern, image_hw=HW, batch_size=4, training=False, stretch=True), 1
    )
    assert seen["images"].dtype == np.uint8 and "image_scale" not in seen
    order = [list(seen["source_id"]).index(name) for name in batch["source_id"]]
    np.testing.assert_array_equal(batch["images"], seen["images"][order])
    np.testing.assert_allclose(batch["gt_boxes_yxyx"], seen["gt_boxes_yxyx"][order], atol=1e-3)
    assert (seen["valid_hw"] == HW).all()


def test_images_without_objects_and_crowds(make_records):
    for batch in collect(train(make_records(4, boxes_per_image=(0,))), 2):
        assert (batch["gt_classes"] == -1).all() and batch["images"].any()
    pattern = make_records(4, boxes_per_image=(3,), name="crowds")  # The second box is a crowd.
    (batch,) = collect(train(pattern, augmentation=PLAIN), 1)
    assert batch["gt_classes"][:, :3].tolist() == [[1, 1, -1]] * 4


def test_a_canvas_smaller_than_the_photo_is_refused():
    with pytest.raises(UserError, match="expand_max of at least 1"):
        SsdAugmentation(expand_max=0.5)
