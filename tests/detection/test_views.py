"""Mirror images and other input sizes: which ones, and the way back to the photo."""

import numpy as np
import pytest

from efficientvision.detection.views import View, boxes_on_photo, make_views, mirror
from efficientvision.errors import UserError


def test_sizes_are_multiples_except_the_networks_own():
    views = make_views((250, 330), (0.5, 1.0, 1.3), mirrored=True, multiple=16)
    sizes = [(128, 160), (250, 330), (320, 432)]
    assert views == [View(size, flip) for size in sizes for flip in (False, True)]
    assert make_views((250, 330)) == [View((250, 330), False)]


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_scales_must_be_positive(scales):
    with pytest.raises(UserError, match="above 0"):
        make_views((64, 64), scales)


def test_the_same_size_twice_is_refused():
    with pytest.raises(UserError, match=r"1 and 1\.02 both give 64x64 .*multiples of 8"):
        make_views((64, 64), (0.5, 1.0, 1.02))


def test_mirror_leaves_the_padding_where_it_is():
    images = np.zeros((2, 2, 5, 1), np.float32)
    images[0, :, :3, 0] = [1, 2, 3]
    images[1, :, :5, 0] = [1, 2, 3, 4, 5]
    mirrored = mirror(images, np.array([[2, 3], [2, 5]], np.int32)).numpy()
    np.testing.assert_array_equal(mirrored[0, 1, :, 0], [3, 2, 1, 0, 0])
    np.testing.assert_array_equal(mirrored[1, 0, :, 0], [5, 4, 3, 2, 1])


@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_come_back_to_their_pixels(mirrored):
    # A photo 640 wide and 427 high on 512 pixels: 512x341, not 341.6.
    original_hw, valid_hw = np.array([[427, 640]], np.int32), np.array([[341, 512]], np.int32)
    box = np.array([100.0, 40.0, 427.0, 200.0])
    seen = np.array([100, 640 - 200, 427, 640 - 40]) if mirrored else box
    on_input = seen / [427, 640, 427, 640] * [341, 512, 341, 512]
    back = boxes_on_photo(
        on_input[None, None].astype(np.float32), valid_hw, original_hw, mirrored=mirrored
    )
    np.testing.assert_allclose(back[0, 0], box, atol=1e-3)
