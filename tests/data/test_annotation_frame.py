"""Boxes and masks move with the picture that they were drawn on."""

import io

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.annotation_frame import LYING, SCALED, UNSTATED, find_frame
from efficientvision.data.photos import decode_photo
from efficientvision.errors import UserError

LYING_HW = (40, 60)


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_box_drawn_on_the_lying_photo(tag):
    """The box of a rectangle's pixels, before and after the tag turned them."""
    pixels = np.zeros(LYING_HW, np.uint8)
    pixels[5:17, 30:52] = 255
    exif = Image.Exif()
    exif[0x0112] = tag
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    upright = np.asarray(decode_photo(file.getvalue(), "a").image)[..., 0] > 0
    frame = find_frame(LYING_HW, upright.shape, tag, "a")
    if tag in (2, 3, 4):  # Of the same size: drawn on what people see.
        assert frame.turn == 1 and frame.notes == ()
        return
    rows, columns = np.nonzero(upright)
    expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    np.testing.assert_allclose(frame.boxes([[5, 30, 17, 52]]), [expected])
    np.testing.assert_array_equal(frame.mask((pixels > 0).astype(np.uint8)), upright)
    assert frame.notes == ((LYING,) if tag >= 5 else ())


def test_the_stated_size_decides():
    upright = (640, 480)
    assert find_frame(upright, upright, 6, "a").turn == 1
    assert find_frame((480, 640), upright, 6, "a").turn == 6
    assert find_frame((50, 50), (50, 50), 6, "a").turn == 1
    half = find_frame((320, 240), upright, 6, "a")
    assert (half.turn, half.notes, half.area_factor) == (1, (SCALED,), 4)
    np.testing.assert_allclose(half.boxes([[1, 2, 3, 4]]), [[2, 4, 6, 8]])
    both = find_frame((240, 320), upright, 6, "a")
    assert (both.turn, both.notes) == (6, (SCALED, LYING))
    # 6000 x 4000 made smaller to a width of 1000: 666.67 rows became 667.
    assert find_frame((667, 1000), (4000, 6000), 1, "a").notes == (SCALED,)
    assert find_frame(None, upright, 6, "a").notes == (UNSTATED,)


@pytest.mark.parametrize("stated", [(480, 480), (481, 700), (10, 640)])
def test_another_shape_is_refused(stated):
    with pytest.raises(UserError, match=r"of 'a\.jpg' is for .*another shape"):
        find_frame(stated, (480, 640), 1, "'a.jpg'")
