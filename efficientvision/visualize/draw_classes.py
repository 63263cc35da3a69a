"""Draw the classes of a picture beside or under it, with Pillow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientvision.visualize.draw import to_pil
from efficientvision.visualize.panel import INK, PAPER, enlarged, shortened

_BAR = (43, 108, 176)
_TRACK = (222, 226, 230)
_LEAST_POINTS = 14
# In units of the font's size.
_PANEL_WIDTH, _ROW_HEIGHT, _MARGIN = 30, 1.7, 0.8
_NAME_SHARE = 0.5


def draw_classes(
    image: Image.Image | np.ndarray, predictions: Sequence[tuple[str, float]]
) -> Image.Image:
    """Draws predicted classes under a wide picture, or beside a tall one.

    Each class has a row: its name, shortened if it is too long, a bar, and its probability.

    Args:
        image: PIL image, or uint8 array [H, W, 3].
        predictions: (name, probability 0..1), in the order of the rows; may be empty.

    Returns:
        A new RGB picture; small photos are enlarged by a whole factor.
    """
    photo = enlarged(to_pil(image))
    points = max(_LEAST_POINTS, round(max(photo.size) / 32))
    font = ImageFont.load_default(size=points)
    rows = max(1, len(predictions))
    height = round((rows * _ROW_HEIGHT + 2 * _MARGIN) * points)
    width = _PANEL_WIDTH * points
    under = photo.width >= photo.height
    if under:
        width = max(width, photo.width)
        size = (width, photo.height + height)
        panel_xy = (0, photo.height)
        photo_xy = ((width - photo.width) // 2, 0)
    else:
        size = (photo.width + width, max(photo.height, height))
        panel_xy = (photo.width, (size[1] - height) // 2)
        photo_xy = (0, (size[1] - photo.height) // 2)
    picture = Image.new("RGB", size, PAPER)
    picture.paste(photo, photo_xy)
    _draw_rows(ImageDraw.Draw(picture), panel_xy, width, points, font, predictions)
    return picture


def _draw_rows(
    pen: ImageDraw.ImageDraw,
    corner_xy: tuple[int, int],
    width: int,
    points: int,
    font: Any,
    predictions: Sequence[tuple[str, float]],
) -> None:
    margin, row_height = round(_MARGIN * points), round(_ROW_HEIGHT * points)
    left, right = corner_xy[0] + margin, corner_xy[0] + width - margin
    number_width = pen.textlength("100.0%", font=font)
    bar_left = left + round((right - left) * _NAME_SHARE)
    bar_right = right - number_width - points / 2
    for index, (name, probability) in enumerate(predictions):
        middle = corner_xy[1] + margin + (index + 0.5) * row_height
        half = points * 0.4
        text = shortened(pen, name, font, bar_left - left - points / 2)
        pen.text((left, middle), text, fill=INK, font=font, anchor="lm")
        pen.rectangle((bar_left, middle - half, bar_right, middle + half), fill=_TRACK)
        end = bar_left + (bar_right - bar_left) * min(max(probability, 0.0), 1.0)
        if end >= bar_left + 1:
            pen.rectangle((bar_left, middle - half, end, middle + half), fill=_BAR)
        pen.text((right, middle), f"{probability:.1%}", fill=INK, font=font, anchor="rm")
    if not predictions:
        middle = corner_xy[1] + margin + 0.5 * row_height
        pen.text((left, middle), "no class above the threshold", fill=INK, font=font, anchor="lm")
