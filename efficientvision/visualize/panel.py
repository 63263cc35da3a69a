"""Helpers for the panels beside pictures."""

from typing import Any

from PIL import Image, ImageDraw

from efficientvision.data.names import one_line

PAPER = (250, 250, 250)
INK = (24, 24, 24)
# Smaller pictures are enlarged by whole factors.
_LEAST_SIDE = 160


def enlarged(photo: Image.Image) -> Image.Image:
    """Returns the photo, enlarged by a whole factor if it is too small to see well."""
    factor = _LEAST_SIDE // max(photo.size)
    if factor < 2:
        return photo
    size = (photo.width * factor, photo.height * factor)
    return photo.resize(size, Image.Resampling.NEAREST)


def shortened(pen: ImageDraw.ImageDraw, text: str, font: Any, width: float) -> str:
    """Returns the text on one line, cut with three dots if it does not fit."""
    text = one_line(text)
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(f"{text}...", font=font) > width:
        text = text[:-1]
    return f"{text.rstrip()}..."
