"""Pictures of records as a network gets them."""

import numpy as np
import pytest

from efficientvision.tasks.choice import get_config, task_of_config
from efficientvision.tasks.segmentation.palettes import palette_of
from efficientvision.visualize.draw_class_map import draw_class_map
from tests.example_records import example, write_examples
from tests.made_class_records import NAMES, made_class_record, write_class_records
from tests.made_mask_records import picture, write_records

MASK_NAMES = {0: "sky", 1: "road", 2: "tree", 3: "car"}


def sample_pictures(pattern, config, names, *, training):
    return task_of_config(config).sample_pictures(pattern, config, names, training=training)


@pytest.mark.parametrize("training", [False, True])
def test_images_with_classes(tmp_path, training):
    pattern = write_class_records(tmp_path / "a", [made_class_record(k) for k in range(4)])
    config = get_config("efficientnet-b0", "image_size=64", task="classification")
    drawn = list(sample_pictures(pattern, config, NAMES, training=training))
    assert len(drawn) == 4
    for image in drawn:
        assert image.width >= 64 and image.height > image.width  # The name is in a bar above.


def test_masks_over_their_images(tmp_path):
    pattern = write_records(tmp_path / "a", 3)
    config = get_config("espnetv2_s_0.5", "image_size=56x40", task="segmentation")
    drawn = list(sample_pictures(pattern, config, MASK_NAMES, training=False))
    assert len(drawn) == 3
    for number, image in enumerate(drawn):
        expected = draw_class_map(*picture(number), MASK_NAMES, palette_of(MASK_NAMES, 4))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert len(list(sample_pictures(pattern, config, MASK_NAMES, training=True))) == 3


def test_objects_in_their_images(tmp_path):
    """A record without boxes is not shown."""
    boxless = example(1, boxes=())
    pattern = write_examples(tmp_path, [example(0), boxless, example(2)])
    config = get_config("efficientdet-d0", "image_size=64")
    drawn = list(sample_pictures(pattern, config, {1: "dog"}, training=False))
    assert len(drawn) == 2 and all(image.size == (64, 64) for image in drawn)
