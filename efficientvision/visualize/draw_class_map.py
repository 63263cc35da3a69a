"""Draw a class map over a picture, with a legend, with Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientvision.visualize.draw import to_pil
from efficientvision.visualize.panel import INK, PAPER, enlarged, shortened

Color = tuple[int, int, int]

OPACITY = 0.6
_LEGENDS = ("outside", "inside", None)
_LEAST_POINTS = 14
# Classes with a smaller share of the picture are not reported, nor in the legend.
LEAST_SHARE = 5e-4
# In units of the font's size.
_ENTRY_WIDTH, _ROW_HEIGHT, _MARGIN, _SWATCH = 13, 1.6, 0.8, 1.1
_INSIDE_BACK = 200
_OUTLINE = (240, 240, 240)


class Present(NamedTuple):
    """A class in a class map.

    Attributes:
        name: name of the class.
        color: RGB, 0..255.
        share: share of the pixels, 0..1.
    """

    name: str
    color: Color
    share: float


def classes_present(
    class_map: np.ndarray, names: Mapping[int, str], colors: Sequence[Sequence[int]]
) -> list[Present]:
    """Returns the classes in a class map, the largest first.

    Args:
        class_map: uint8 [H, W]; values without a colour (255: ignored) are skipped.
        names: class index (from 0) -> name; a missing class is called "class <index>".
        colors: RGB of each class.
    """
    counts = np.bincount(class_map.reshape(-1), minlength=256)[: len(colors)]
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return [
        Present(names.get(i, f"class {i}"), _three(colors[i]), counts[i] / class_map.size)
        for i in order
    ]


def draw_class_map(
    image: Image.Image | np.ndarray,
    class_map: np.ndarray,
    names: Mapping[int, str],
    colors: Sequence[Sequence[int]],
    *,
    opacity: float = OPACITY,
    legend: str | None = "outside",
) -> Image.Image:
    """Overlays a class map on a picture.

    Classes whose colour is black (the background) leave the picture unchanged.

    Args:
        image: PIL image, or uint8 array [H, W, 3].
        class_map: uint8 [H, W], the class index of each pixel, 255: none.
        names: class index (from 0) -> name.
        colors: RGB of each class.
        opacity: opacity of the colours, 0..1.
        legend: where to list the classes with their shares, largest first: "outside" (under a
            wide picture, beside a tall one), "inside" (in the lower left corner, as many as fit),
            or None.

    Returns:
        A new RGB picture of the same size. With "outside" it is larger by the legend, and small
        photos are enlarged by a whole factor.

    Raises:
        ValueError: the sizes of map and picture differ, or `legend` is invalid.
    """
    photo = to_pil(image)
    if class_map.shape != (photo.height, photo.width):
        raise ValueError(
            f"a class map must have the size of the picture, {photo.height}x{photo.width}, "
            f"got {class_map.shape}"
        )
    if legend not in _LEGENDS:
        raise ValueError(f"legend must be one of {_LEGENDS}, got {legend!r}")
    blended = _blended(np.asarray(photo), class_map, colors, opacity)
    present = [p for p in classes_present(class_map, names, colors) if p.share >= LEAST_SHARE]
    if legend == "outside":
        return with_legend(enlarged(blended), present)
    if legend == "inside":
        _draw_inside(blended, present)
    return blended


def indexed_picture(class_map: np.ndarray, colors: Sequence[Sequence[int]]) -> Image.Image:
    """Returns a class map as a picture with a palette: its pixel values are the class indices.

    Args:
        class_map: uint8 [H, W].
        colors: RGB of each class; values without one are black.
    """
    picture = Image.fromarray(class_map, mode="P")
    picture.putpalette([channel for color in colors for channel in color])
    return picture


def _blended(
    photo: np.ndarray, class_map: np.ndarray, colors: Sequence[Sequence[int]], opacity: float
) -> Image.Image:
    # A lookup table in units of 1/256: fast enough for video.
    table = np.zeros((256, 3), np.uint16)
    table[: len(colors)] = colors
    alpha = np.where(table.any(axis=1), round(256 * opacity), 0).astype(np.uint16)[:, np.newaxis]
    covered, rest = table * alpha, 256 - alpha
    mixed = (photo * rest[class_map] + covered[class_map] + 128) >> 8
    # Outlines separate grey cars from grey streets.
    mixed[_borders(class_map)] = _OUTLINE
    return Image.fromarray(mixed.astype(np.uint8))


def _borders(class_map: np.ndarray) -> np.ndarray:
    """bool [H, W]: the pixels along class borders; the lines are wider in a large picture."""
    borders = np.zeros(class_map.shape, bool)
    for distance in range(1, max(1, round(min(class_map.shape) / 700)) + 1):
        borders[distance:] |= class_map[distance:] != class_map[:-distance]
        borders[:, distance:] |= class_map[:, distance:] != class_map[:, :-distance]
    return borders


def with_legend(
    picture: Image.Image, present: Sequence[Present], *, under: bool | None = None
) -> Image.Image:
    """Adds a legend of classes under a picture or beside it; None: under a wide one."""
    points = max(_LEAST_POINTS, round(max(picture.size) / 40))
    entry, margin = round(_ENTRY_WIDTH * points), round(_MARGIN * points)
    under = picture.width >= picture.height if under is None else under
    columns = max(1, (picture.width - 2 * margin) // entry) if under else 1
    columns = min(columns, max(1, len(present)))
    rows = max(1, -(-len(present) // columns))
    height = round(rows * _ROW_HEIGHT * points) + 2 * margin
    width = columns * entry + 2 * margin
    if under:
        size = (max(picture.width, width), picture.height + height)
        picture_xy, panel_xy = ((size[0] - picture.width) // 2, 0), (0, picture.height)
    else:
        size = (picture.width + width, max(picture.height, height))
        picture_xy, panel_xy = (0, (size[1] - picture.height) // 2), (picture.width, 0)
    sheet = Image.new("RGB", size, PAPER)
    sheet.paste(picture, picture_xy)
    corner = (panel_xy[0] + margin, panel_xy[1] + margin)
    _draw_entries(ImageDraw.Draw(sheet), corner, points, columns, present)
    return sheet


def _draw_inside(picture: Image.Image, present: Sequence[Present]) -> None:
    """Draws the legend into the picture, in place; does nothing if the picture is too small."""
    points = max(10, round(min(picture.size) / 32))
    width = round((_ENTRY_WIDTH + 2 * _MARGIN) * points)
    row, margin = _ROW_HEIGHT * points, _MARGIN * points
    fitting = int((picture.height - 2 * margin) // row)
    shown = present[: max(0, fitting)]
    if width > picture.width or not shown:
        return
    height = round(len(shown) * row + 2 * margin)
    place = (0, picture.height - height, width, picture.height)
    panel = Image.new("RGB", (width, height), PAPER)
    _draw_entries(ImageDraw.Draw(panel), (round(margin), round(margin)), points, 1, shown)
    picture.paste(Image.blend(picture.crop(place), panel, _INSIDE_BACK / 255), place)


def _three(color: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = color
    return red, green, blue


def _draw_entries(
    pen: ImageDraw.ImageDraw,
    corner_xy: tuple[int, int],
    points: int,
    columns: int,
    present: Sequence[Present],
) -> None:
    """Swatch, name and share of each class, row by row."""
    font = ImageFont.load_default(size=points)
    entry, row, side = _ENTRY_WIDTH * points, _ROW_HEIGHT * points, _SWATCH * points
    if not present:
        pen.text(
            (corner_xy[0], corner_xy[1] + row / 2), "no class", fill=INK, font=font, anchor="lm"
        )
    for index, (name, color, share) in enumerate(present):
        left = corner_xy[0] + index % columns * entry
        middle = corner_xy[1] + (index // columns + 0.5) * row
        box = (left, middle - side / 2, left + side, middle + side / 2)
        pen.rectangle(box, fill=color, outline=INK)
        number = f"{share:.1%}"
        right = left + entry - points
        room = right - pen.textlength(number, font=font) - left - side - points
        name = shortened(pen, name, font, room)
        pen.text((left + side + points / 2, middle), name, fill=INK, font=font, anchor="lm")
        pen.text((right, middle), number, fill=INK, font=font, anchor="rm")
