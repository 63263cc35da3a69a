"""What the panels beside pictures have in common."""

from typing import Any

from PIL import Image, ImageDraw

from efficientvision.data.names import one_line

PAPER = (250, 250, 250)
INK = (24, 24, 24)
# Smaller pictures are shown enlarged, by whole numbers.
_LEAST_SIDE = 160


def enlarged(photo: Image.Image) -> Image.Image:
    """The photo, or where it is too small to be looked at, a multiple of it."""
    factor = _LEAST_SIDE // max(photo.size)
    if factor < 2:
        return photo
    size = (photo.width * factor, photo.height * factor)
    return photo.resize(size, Image.Resampling.NEAREST)


def shortened(pen: ImageDraw.ImageDraw, text: str, font: Any, width: float) -> str:
    """The text in one line, or as much of its beginning as fits, with three dots."""
    text = one_line(text)
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(f"{text}...", font=font) > width:
        text = text[:-1]
    return f"{text.rstrip()}..."
