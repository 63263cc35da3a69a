"""Mirror images and other input sizes: which ones, and the way back to the photo."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.detection.views import View, boxes_on_photo, make_views, mirror


def test_inputs_change_by_whole_steps():
    """320 and 240 have remainders by 128: they stay, and the photo fills a part of the input."""
    views = make_views((240, 320), (0.5, 1.0, 1.25), mirrored=True)
    sizes = [((240, 192), (120, 160)), ((240, 320), (240, 320)), ((368, 448), (300, 400))]
    assert views == [View(*pair, flip) for pair in sizes for flip in (False, True)]
    assert make_views((240, 320)) == [View((240, 320), (240, 320), False)]
    # Whole strides are filled.
    squares = make_views((512, 512), (0.75, 1.5))
    assert [view[:2] for view in squares] == [((384, 384),) * 2, ((768, 768),) * 2]
    assert make_views((64, 64), (0.1,))[0][:2] == ((64, 64), (6, 6))


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_scales_must_be_positive(scales):
    with pytest.raises(UserError, match="above 0"):
        make_views((64, 64), scales)


def test_the_same_size_twice_is_refused():
    with pytest.raises(UserError, match=r"1 and 1\.005 both give 64x64 pixels"):
        make_views((64, 64), (0.5, 1.0, 1.005))


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
