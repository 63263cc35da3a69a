"""Draws the tracks of a video's objects on a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientvision.visualize.draw import class_color, draw_detections, text_color, to_pil

_LINE_COLOR = (255, 210, 0)


def draw_tracks(
    frame: np.ndarray,
    boxes_yxyx: np.ndarray,
    numbers: Sequence[int] | np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    trails: Mapping[int, Sequence[tuple[float, float]]],
    **options: Any,
) -> Image.Image:
    """Draws each object's box, class and number in the colour of its track, and its trail.

    Args:
        frame: uint8 [H, W, 3].
        boxes_yxyx: [N, 4], ymin, xmin, ymax, xmax in pixels.
        numbers: [N], numbers of the tracks from 1.
        scores: [N] in 0..1.
        names: N class names.
        trails: Number -> centres (x, y) in the last frames, oldest first.
        **options: `line_thickness` and `max_boxes_to_draw` of `draw_detections`.

    Returns:
        A new RGB picture of the same size.
    """
    picture = to_pil(frame)
    pen = ImageDraw.Draw(picture)
    width = options.get("line_thickness") or max(2, round(min(picture.size) / 250))
    for number, points in trails.items():
        if len(points) > 1:
            pen.line([tuple(point) for point in points], class_color(number), width, joint="curve")
    labels = {int(number): f"{name} #{number}" for number, name in zip(numbers, names, strict=True)}
    return draw_detections(
        picture, boxes_yxyx, numbers, scores, labels, min_score_thresh=0.0, **options
    )


def draw_count_line(
    picture: Image.Image, line_xyxy: tuple[float, float, float, float], entered: int, left: int
) -> None:
    """Draws a counting line with its two counts into a picture."""
    pen = ImageDraw.Draw(picture)
    size = max(12, round(min(picture.size) / 30))
    x1, y1, x2, y2 = line_xyxy
    pen.line([(x1, y1), (x2, y2)], _LINE_COLOR, max(2, size // 8))
    font = ImageFont.load_default(size=size)
    text = f"in {entered}  out {left}"
    x0, y0, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - x0 + size // 2, bottom - y0 + size // 2
    x = min(max(0, (x1 + x2 - width) / 2), max(0, picture.width - width))
    y = min(max(0, (y1 + y2) / 2 + size // 4), max(0, picture.height - height))
    pen.rectangle((x, y, x + width, y + height), fill=_LINE_COLOR)
    place = (x - x0 + size // 4, y - y0 + size // 4)
    pen.text(place, text, fill=text_color(_LINE_COLOR), font=font)
