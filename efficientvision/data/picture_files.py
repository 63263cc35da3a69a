"""Opens picture files with Pillow, and turns them upright by their EXIF tag."""

from __future__ import annotations

import io
import struct
import threading
import zlib

from PIL import Image

# Exceptions of Pillow and its plugins for broken files, headers and EXIF blocks.
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
# EXIF tag -> Pillow's operation that turns the stored picture upright.
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
# Places where Pillow keeps the tag, which no longer applies to a turned picture.
_STATEMENTS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_pillows_limit = threading.Lock()


def open_header(encoded: bytes) -> Image.Image:
    """Opens a picture of any size: callers check the size before they load the pixels.

    Pillow's own limit is global to the process, and it warns from half of it on. It is lifted here
    and not while pixels are decoded, which threads do concurrently.
    """
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(encoded))
        finally:
            Image.MAX_IMAGE_PIXELS = before


def load(image: Image.Image) -> int:
    """Decodes an opened picture; this turns a TIFF upright, but no other format.

    Returns:
        The file's EXIF tag, 1..8.
    """
    before = _stated_tag(image)
    image.load()
    # A TIFF has lost its tag by now; a PNG may have it behind its pixels.
    return _stated_tag(image) if before == 1 else before


def turned_upright(image: Image.Image) -> Image.Image:
    """Turns a loaded picture upright; returns the same one if it is upright already.

    Looks only at the tag: `ImageOps.exif_transpose` rewrites all other EXIF tags, and fails on
    values that cameras and editors should not have written.
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
    """(height, width) from a picture's header, as its pixels are stored; None if unreadable."""
    try:
        with open_header(encoded) as image:
            return image.height, image.width
    except PILLOW_ERRORS:
        return None


def orientation_of(encoded: bytes) -> int:
    """EXIF tag in a picture's header, 1..8; 1 if there is none, or it is not a picture."""
    try:
        with open_header(encoded) as image:
            return _stated_tag(image)
    except PILLOW_ERRORS:
        return 1


def _stated_tag(image: Image.Image) -> int:
    try:
        tag = image.getexif().get(_ORIENTATION_TAG)
    except PILLOW_ERRORS:  # A broken EXIF block is no reason to reject the pixels.
        return 1
    return int(tag) if tag in range(1, 9) else 1
