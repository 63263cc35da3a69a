"""Pictures of more than 8 bits are drawn as the photo reader shows them."""

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.photos import open_photo
from efficientvision.errors import UserError
from efficientvision.tasks.photo_batches import as_array
from efficientvision.visualize.draw import to_pil

HW = (4, 6)
DEEP = (np.arange(24).reshape(HW) * 2600).astype(np.uint16)
UNIT = (np.arange(24).reshape(HW) / 23).astype(np.float32)


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DEEP, DEEP >> 8),
        (DEEP.astype(np.int32), np.rint(DEEP / 65535 * 255)),
        (np.arange(24, dtype=np.int32).reshape(HW), np.arange(24).reshape(HW)),
        (UNIT, np.rint(UNIT * 255)),
        (np.float32(DEEP >> 8), DEEP >> 8),
    ],
)
def test_pil_images_and_their_files(tmp_path, values, expected):
    image = Image.fromarray(values)
    image.save(tmp_path / "deep.tif")
    for shown in (to_pil(image), as_array(image), open_photo(tmp_path / "deep.tif")):
        np.testing.assert_array_equal(np.asarray(shown), rgb(expected))


def test_arrays_of_16_bits():
    np.testing.assert_array_equal(np.asarray(to_pil(DEEP)), rgb(DEEP >> 8))
    np.testing.assert_array_equal(np.asarray(to_pil(rgb(DEEP))), rgb(DEEP >> 8))


def test_samples_without_a_known_range():
    with pytest.raises(UserError, match="floating-point samples from -1 to 2"):
        to_pil(Image.fromarray(np.linspace(-1, 2, 24, dtype=np.float32).reshape(HW)))
