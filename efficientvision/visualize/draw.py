"""Draw detections on pictures with Pillow."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientvision.data.eight_bits import eight_bit_rgb
from efficientvision.data.names import one_line

_GOLDEN_RATIO = 0.618033988749895
# Three (saturation, value) pairs: neighbouring hues still differ when there are 90 classes.
_TONES = ((0.85, 0.95), (0.55, 1.0), (1.0, 0.75))
_DARK = (16, 16, 16)
_LIGHT = (255, 255, 255)


def class_color(class_id: int) -> tuple[int, int, int]:
    """Returns the RGB colour (0..255) of a class: always the same for the same class."""
    hue = (class_id * _GOLDEN_RATIO) % 1.0
    saturation, value = _TONES[class_id % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_color(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns near-black or white, whichever has the larger WCAG contrast with `background`."""
    linear = [
        c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in background
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _DARK if luminance > 0.18 else _LIGHT


def to_pil(image: Image.Image | np.ndarray) -> Image.Image:
    """Converts an image to a new RGB `PIL.Image`.

    Args:
        image: a PIL image of any mode, scaled to 8 bits like a photo's file
            (`data.photos.decode_photo`); or an array [H, W, 3], [H, W, 4], [H, W, 1] or [H, W] of
            uint8, uint16 (the upper byte is used), or other numbers in 0..255.

    Raises:
        ValueError: the array has another shape, or the range of the image's samples is unknown.
    """
    if isinstance(image, Image.Image):
        rgb, _ = eight_bit_rgb(image, "given")
        return rgb.copy() if rgb is image else rgb
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise ValueError(f"an image must have the shape [H, W, 3], got {array.shape}")
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        array = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return Image.fromarray(array).convert("RGB")


class LabelledBox(NamedTuple):
    """A box to draw.

    Attributes:
        box_yxyx: [4] float, in pixels of the picture.
        label: text at the box; may be empty.
        color: RGB, 0..255.
        thickness: width of the frame in pixels.
    """

    box_yxyx: np.ndarray
    label: str
    color: tuple[int, int, int]
    thickness: int


def draw_detections(
    image: Image.Image | np.ndarray,
    boxes_yxyx: Any,
    classes: Any,
    scores: Any = None,
    names: Mapping[int, str] | None = None,
    *,
    min_score_thresh: float = 0.4,
    max_boxes_to_draw: int | None = 100,
    line_thickness: int | None = None,
) -> Image.Image:
    """Draws boxes with labels on a copy of a picture.

    Labels are placed above, inside or below their box, so that they stay inside the picture and
    hide no other label if possible.

    Args:
        image: PIL image, or uint8 array [H, W, 3].
        boxes_yxyx: [N, 4] float, [ymin, xmin, ymax, xmax] in pixels of `image`.
        classes: [N] integers, 1..K.
        scores: [N] float in 0..1, or None for ground truth: all boxes are drawn.
        names: class number -> name; a missing class is labelled "class <number>".
        min_score_thresh: skip boxes with lower scores.
        max_boxes_to_draw: maximum number of boxes, best scores first; None or 0: no limit.
        line_thickness: in pixels; None: proportional to the picture's size.

    Returns:
        A new RGB picture of the same size.
    """
    picture = to_pil(image)
    boxes = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4)
    class_ids = np.asarray(classes).reshape(-1).astype(int)
    confidences = None if scores is None else np.asarray(scores, np.float64).reshape(-1)
    order = _drawing_order(boxes, confidences, min_score_thresh, max_boxes_to_draw)
    width, height = picture.size
    thickness = line_thickness or max(1, round(min(width, height) / 250))
    labelled = []
    for index in order:
        class_id = int(class_ids[index])
        label = (names or {}).get(class_id, f"class {class_id}")
        if confidences is not None:
            label = f"{label} {confidences[index]:.0%}"
        labelled.append(LabelledBox(boxes[index], label, class_color(class_id), thickness))
    return draw_boxes(picture, labelled)


def draw_boxes(image: Image.Image | np.ndarray, boxes: Sequence[LabelledBox]) -> Image.Image:
    """Draws boxes on a copy of a picture; earlier ones lie on top and choose their place first."""
    picture = to_pil(image)
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    clipped = [(_clip(each.box_yxyx, height, width), each) for each in boxes]
    shown = [(box, each) for box, each in clipped if box is not None]
    for box, each in reversed(shown):
        _draw_frame(pen, box, each.color, each.thickness)
    taken: list[tuple[float, float, float, float]] = []
    for box, each in shown:
        if each.label:
            label = one_line(each.label)
            _draw_label(pen, picture.size, box, label, each.color, each.thickness, taken)
    return picture


def _drawing_order(
    boxes: np.ndarray, scores: np.ndarray | None, threshold: float, limit: int | None
) -> list[int]:
    """Indices of the boxes to draw, best score first."""
    indices = np.flatnonzero(np.all(np.isfinite(boxes), axis=1))
    if scores is not None:
        indices = indices[scores[indices] >= threshold]
        indices = indices[np.argsort(-scores[indices], kind="stable")]
    return indices[: limit or None].tolist()


def _clip(box_yxyx: np.ndarray, height: int, width: int) -> tuple[int, int, int, int] | None:
    """The box as integer (xmin, ymin, xmax, ymax) inside the picture; None if it lies outside."""
    ymin, xmin, ymax, xmax = box_yxyx
    if ymax < ymin or xmax < xmin or ymax < 0 or xmax < 0 or ymin > height or xmin > width:
        return None
    left, top = min(max(0, round(xmin)), width - 1), min(max(0, round(ymin)), height - 1)
    right, bottom = min(max(left, round(xmax)), width - 1), min(max(top, round(ymax)), height - 1)
    return left, top, right, bottom


def _draw_frame(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    color: tuple[int, int, int],
    thickness: int,
) -> None:
    """Draws a coloured frame with a dark edge, visible on any background."""
    left, top, right, bottom = box
    if thickness > 1:
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_DARK, width=1)
    pen.rectangle(box, outline=color, width=thickness)


def _fitting_font(pen: ImageDraw.ImageDraw, text: str, size: tuple[int, int]) -> Any:
    """The bundled font at a size that suits the picture and fits the text into its width."""
    points = max(10, min(48, round(min(size) / 32)))
    while True:
        font = ImageFont.load_default(size=points)
        if points <= 6 or pen.textlength(text, font=font) + 4 <= size[0]:
            return font
        points -= 1


def _draw_label(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    text: str,
    color: tuple[int, int, int],
    thickness: int,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Writes `text` on a filled background near the box and adds the place to `taken`."""
    width, height = size
    font = _fitting_font(pen, text, size)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, thickness // 2)
    label_w, label_h = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(box[0], width - 1 - label_w))
    places = [box[1] - label_h, box[1], box[3], box[3] - label_h]
    inside = [y for y in places if 0 <= y <= height - 1 - label_h]
    y = next(
        (y for y in inside if not _overlaps((x, y, x + label_w, y + label_h), taken)),
        inside[0] if inside else 0,
    )
    pen.rectangle((x, y, x + label_w, y + label_h), fill=color)
    pen.text((x + pad - left, y + pad - top), text, fill=text_color(color), font=font)
    taken.append((x, y, x + label_w, y + label_h))


def _overlaps(
    place: tuple[float, float, float, float], taken: Sequence[tuple[float, float, float, float]]
) -> bool:
    return any(
        place[0] < other[2] and other[0] < place[2] and place[1] < other[3] and other[1] < place[3]
        for other in taken
    )


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    *,
    columns: int | None = None,
    tile: int | tuple[int, int] = 320,
    gap: int = 8,
) -> Image.Image:
    """Arranges pictures in a grid on one sheet, each shrunk to fit its tile.

    Args:
        images: at least one picture.
        columns: pictures per row; None: about as many as rows.
        tile: width and height of a tile in pixels; one number for a square.
        gap: space between tiles in pixels.

    Raises:
        ValueError: there are no pictures.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = (tile, tile) if isinstance(tile, int) else tile
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    sheet = Image.new("RGB", size, (40, 40, 40))
    for index, image in enumerate(images):
        thumbnail = to_pil(image)
        thumbnail.thumbnail((width, height), Image.Resampling.LANCZOS)
        row, column = divmod(index, columns)
        x = gap + column * (width + gap) + (width - thumbnail.width) // 2
        y = gap + row * (height + gap) + (height - thumbnail.height) // 2
        sheet.paste(thumbnail, (x, y))
    return sheet
