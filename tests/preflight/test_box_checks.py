"""Boxes and photos that are as they should be, and that are not."""

import numpy as np
import pytest

from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.tasks.detection.box_checks import (
    box_findings,
    objects_per_image_findings,
    photo_findings,
)
from tests.example_records import HEIGHT, WIDTH, example, photo

GOOD = [(10, 20, 30, 60), (40, 5, 55, 80)]


def drawn(index):
    """A photo with two bright rectangles, and its boxes in pixels."""
    random = np.random.default_rng(index)
    corner = random.integers(0, [HEIGHT // 2, WIDTH // 2], (2, 2))
    boxes = np.concatenate([corner, corner + random.integers(8, 30, (2, 2))], axis=-1)
    return photo(boxes=boxes, seed=index), boxes.astype(float)


def changed(scan, change, count=20):
    """Records whose boxes [2, 4], in pixels, went through `change`."""
    made = [drawn(index) for index in range(count)]
    return scan(example(k, change(boxes), encoded=image) for k, (image, boxes) in enumerate(made))


def test_good_boxes(scan):
    (row,) = box_findings(changed(scan, lambda boxes: boxes), "train")
    assert (row.level, row.found) == (OK, "40 in 20 images, 0 without objects")


def test_images_without_objects_are_counted(scan):
    (row,) = box_findings(scan([example(0, GOOD), example(1, []), example(2, [])]), "val")
    assert row.found == "2 in 3 images, 2 without objects"


def test_no_boxes_at_all(scan):
    read = scan([example(0, []), example(1, [])])
    (row,) = box_findings(read, "train")
    assert row.level == ERROR and row.found == "no objects in 2 images"
    assert box_findings(read, "val", needed=False)[0].level == WARNING


@pytest.mark.parametrize("side", [0, 1])
def test_all_boxes_of_zero_area(scan, side):
    def flatten(boxes):
        boxes[:, side + 2] = boxes[:, side]
        return boxes

    (row,) = box_findings(changed(scan, flatten), "train")
    assert row.level == ERROR
    assert row.found.startswith("40 of 40 have no area, e.g. in image '1'")


def test_a_few_boxes_without_area_are_a_warning(scan):
    bad = [example(7, [(5, 5, 5, 9), (float("nan"), 1, 2, 3)]), example(8, GOOD)]
    ok, row = box_findings(scan([*(example(i, GOOD) for i in range(5)), *bad]), "train")
    assert ok.level == OK
    assert row.level == WARNING and row.found.startswith("2 of 14 have no area, e.g. in image '8'")
    assert "1 contain NaN" in row.found


def test_width_and_height_in_place_of_the_corner(scan):
    def as_sizes(boxes):
        return np.concatenate([boxes[:, :2] + 20, boxes[:, 2:] - boxes[:, :2]], axis=-1)

    (row,) = box_findings(changed(scan, as_sizes), "train")
    assert row.level == ERROR and "a maximum is below its minimum" in row.found


def test_pixels_in_place_of_shares(scan):
    size = np.array([HEIGHT, WIDTH] * 2)
    (row,) = box_findings(changed(scan, lambda boxes: boxes * size), "train")
    assert row.level == ERROR and "pixels, expected fractions" in row.found
    assert "divide x by the width" in row.advice


def test_x_and_y_swapped_so_that_boxes_leave_their_photos(scan):
    def lower_right(boxes):
        return (boxes + [0, 15, 0, 15])[:, [1, 0, 3, 2]]

    (row,) = box_findings(changed(scan, lower_right), "train")
    assert row.level == ERROR
    assert "x and y are swapped" in row.found and "extend beyond" in row.found


def test_x_and_y_swapped_inside_the_photos(scan):
    size = np.array([HEIGHT, WIDTH] * 2)
    (row,) = box_findings(
        changed(scan, lambda boxes: (boxes / size)[:, [1, 0, 3, 2]] * size), "val"
    )
    assert row.level == ERROR
    assert "x and y are swapped" in row.found and "edges" in row.found


def test_boxes_beyond_the_border(scan):
    beyond = [(10, 20, 30, WIDTH + 5.0)]
    touching = [(0, 0, HEIGHT, WIDTH + 0.4)]
    _, row = box_findings(
        scan([example(0, GOOD), example(1, beyond), example(2, touching)]), "train"
    )
    assert row.level == WARNING
    assert row.found.startswith("1 of 4 extend beyond their photo, e.g. in image '2'")


def test_more_objects_than_are_trained_on(scan):
    many = example(1, GOOD * 3, is_crowd=[1, 0, 0, 0, 0, 0])
    read = scan([example(0, GOOD), many])
    (row,) = objects_per_image_findings(read, 6, skip_crowd=False)
    assert row.level == OK and "at most 6 objects per image, 4.0 on average" in row.found
    assert objects_per_image_findings(read, 5, skip_crowd=True)[0].level == OK
    (row,) = objects_per_image_findings(read, 4, skip_crowd=True)
    assert row.level == WARNING and "1 image with more" in row.found
    assert row.advice.endswith("max_instances_per_image=5")


def test_sizes_of_photos(scan):
    (row,) = photo_findings(scan([example(0), example(1)]), (40, 60))
    assert (row.level, row.advice) == (OK, "")
    assert row.found == f"{WIDTH}x{HEIGHT}, fitted into 60x40 (scale 0.67)"


def test_an_input_of_another_shape(scan):
    wide = photo(100, 400)
    (row,) = photo_findings(scan([example(0, encoded=wide, height=100, width=400)]), (512, 512))
    assert "75% of the input is padding" in row.found
    assert row.advice == "image_size=1024x256 would waste less"


def test_a_stated_size_that_is_not_the_photos(scan):
    turned = example(1, height=WIDTH, width=HEIGHT)
    _, row = photo_findings(scan([example(0), turned]), (64, 96))
    assert row.level == WARNING
    assert (
        f"image '2' in set-00000-of-00001.tfrecord: {HEIGHT}x{WIDTH} instead of {WIDTH}x"
        in row.found
    )


def test_boxes_too_small_for_the_input(scan):
    small = [(10, 10, 13, 40)]
    read = scan([example(0, GOOD + small), example(1, GOOD)])
    assert [row.level for row in photo_findings(read, (120, 180))] == [OK]
    _, row = photo_findings(read, (60, 90))
    assert row.level == WARNING and row.found.startswith("20% of the boxes are narrower than 4")
