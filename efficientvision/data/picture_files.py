"""Opening picture files with Pillow, and turning them upright by their EXIF tag."""

from __future__ import annotations

import io
import struct
import threading
import zlib

from PIL import Image

# What Pillow and its plugins raise for broken files, headers and EXIF blocks.
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)
# EXIF tag -> how Pillow turns the stored picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112
# Where Pillow keeps what states the tag, which no longer holds for a turned picture.
_STATEMENTS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_pillows_limit = threading.Lock()


def open_header(encoded: bytes) -> Image.Image:
    """Opens a picture of any size: whoever loads its pixels looks at the size first.

    Pillow's own limit is one of the whole process, and it warns from half of it on. It is looked at
    here and not while pixels are decoded, which threads do at the same time.
    """
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(encoded))
        finally:
            Image.MAX_IMAGE_PIXELS = before


def load(image: Image.Image) -> int:
    """Decodes an opened picture; a TIFF is turned upright by that, others are not.

    Returns:
        The EXIF tag, 1..8, of its file.
    """
    before = _stated_tag(image)
    image.load()
    # A TIFF has lost its tag now; a PNG may state it behind its pixels.
    return _stated_tag(image) if before == 1 else before


def turned_upright(image: Image.Image) -> Image.Image:
    """A loaded picture, upright; the same one where it is so already.

    By the tag alone: `ImageOps.exif_transpose` writes all other EXIF tags anew, and fails at values
    that cameras and editors should not have written.
    """
    tag = _stated_tag(image)
    if tag == 1:
        return image
    turned = image.transpose(UPRIGHT[tag])
    turned.format = image.format
    for statement in _STATEMENTS:
        turned.info.pop(statement, None)
    return turned


def header_size(encoded: bytes) -> tuple[int, int] | None:
    """(height, width) by a picture's header, as its pixels are stored; None: it cannot be read."""
    try:
        with open_header(encoded) as image:
            return image.height, image.width
    except PILLOW_ERRORS:
        return None


def orientation_of(encoded: bytes) -> int:
    """The EXIF tag in a picture's header, 1..8; 1 where there is none, or no picture."""
    try:
        with open_header(encoded) as image:
            return _stated_tag(image)
    except PILLOW_ERRORS:
        return 1


def _stated_tag(image: Image.Image) -> int:
    try:
        tag = image.getexif().get(_ORIENTATION_TAG)
    except PILLOW_ERRORS:  # A broken EXIF block is no reason to refuse the pixels.
        return 1
    return int(tag) if tag in range(1, 9) else 1
