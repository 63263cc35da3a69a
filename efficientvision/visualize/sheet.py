"""Sheets of captioned pictures: one JPEG file that can be split into its pictures again."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientvision.visualize.draw import contact_sheet, to_pil
from efficientvision.visualize.panel import shortened

_GAP = 8
_BAR = (40, 40, 40)
# Of a JPEG file.
_LONGEST_COMMENT = 65_533
_INK = (240, 240, 240)
_GREEN, _RED = (120, 220, 130), (255, 130, 120)


class Picture(NamedTuple):
    """A picture and its caption.

    Attributes:
        image: The picture.
        caption: Its caption.
        panels: Number of pictures of equal size that it shows side by side (see `beside`).
        foot: Height of the part under them, such as a legend, in pixels.
        legend: (name, "#rrggbb") of the colours in it.
    """

    image: Image.Image
    caption: str
    panels: int = 1
    foot: int = 0
    legend: tuple[tuple[str, str], ...] = ()


def fit(image: Image.Image | np.ndarray, longest: int) -> Image.Image:
    """Returns a copy of a picture, resized so that its longer side has `longest` pixels."""
    width, height = to_pil(image).size
    scale = longest / max(width, height)
    return resized(image, [max(1, round(side * scale)) for side in (height, width)])


def resized(image: Image.Image | np.ndarray, size_hw: Sequence[int]) -> Image.Image:
    """Returns a copy of a picture, resized to [height, width]."""
    height, width = map(int, size_hw)
    return to_pil(image).resize((width, height), Image.Resampling.LANCZOS)


def beside(*images: Image.Image, titles: Sequence[str]) -> Image.Image:
    """Joins pictures of one size side by side, each under its title."""
    width, height = images[0].size
    bar = max(16, round(max(width, height) / 22))
    font = ImageFont.load_default(size=round(bar * 0.7))
    row = Image.new("RGB", (len(images) * (width + _GAP) - _GAP, height + bar), _BAR)
    pen = ImageDraw.Draw(row)
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        x = number * (width + _GAP)
        row.paste(image, (x, bar))
        text = shortened(pen, title, font, width - 8)
        pen.text((x + 4, bar / 2), text, fill=_INK, font=font, anchor="lm")
    return row


def titled(image: Image.Image, lines: Sequence[str], *, good: bool | None = None) -> Image.Image:
    """Adds lines of text above a picture.

    Args:
        image: The picture.
        lines: Lines of text, shortened if they do not fit.
        good: Colour of the last line: True green, False red, None neither.
    """
    bar = max(16, round(max(image.size) / 16))
    font = ImageFont.load_default(size=round(bar * 0.7))
    result = Image.new("RGB", (image.width, image.height + bar * len(lines)), _BAR)
    result.paste(image, (0, bar * len(lines)))
    pen = ImageDraw.Draw(result)
    for number, line in enumerate(lines):
        text = shortened(pen, line, font, image.width - 8)
        is_verdict = good is not None and number == len(lines) - 1
        ink = (_GREEN if good else _RED) if is_verdict else _INK
        pen.text((4, bar * (number + 0.5)), text, fill=ink, font=font, anchor="lm")
    return result


def panels(picture: Picture) -> list[Image.Image]:
    """The pictures that `beside` put side by side, under their titles and without the foot."""
    count, height = picture.panels, max(1, picture.image.height - picture.foot)
    width = (picture.image.width - (count - 1) * _GAP) // count
    corners = [number * (width + _GAP) for number in range(count)]
    return [picture.image.crop((x, 0, x + width, height)) for x in corners]


def write_sheet(pictures: Sequence[Picture], columns: int) -> bytes:
    """Arranges pictures on one sheet and returns the content of a JPEG file.

    The file's comment stores the captions and the layout, for `read_sheet`.
    """
    columns = min(columns, len(pictures))
    tile = (max(p.image.width for p in pictures), max(p.image.height for p in pictures))
    sheet = contact_sheet([p.image for p in pictures], columns=columns, tile=tile, gap=_GAP)
    note = {
        "columns": columns,
        "gap": _GAP,
        "sizes": [p.image.size for p in pictures],
        "captions": [p.caption for p in pictures],
        "panels": [[p.panels, p.foot] for p in pictures],
        "legends": [p.legend for p in pictures],
    }
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=85, comment=_fitting_comment(note))
    return content.getvalue()


def _fitting_comment(note: dict[str, Any]) -> bytes:
    """The note as JSON; without legends, then with shorter captions, if it is too long."""
    for longest in (None, 500, 100, 0):
        if longest is not None:
            captions = [caption[:longest] for caption in note["captions"]]
            note = {**note, "legends": [()] * len(captions), "captions": captions}
        comment = json.dumps(note, ensure_ascii=False).encode("utf8", "replace")
        if len(comment) <= _LONGEST_COMMENT:
            break
    return comment


def read_sheet(content: bytes) -> list[Picture]:
    """Returns the pictures of a sheet; for any other file, that picture without a caption."""
    with Image.open(io.BytesIO(content)) as file:
        sheet = file.convert("RGB")
        comment = file.info.get("comment", b"")
    try:
        note = json.loads(comment)
        columns, gap, sizes = note["columns"], note["gap"], note["sizes"]
        captions = note["captions"]
        layouts = note.get("panels") or [(1, 0)] * len(captions)
        legends = note.get("legends") or [()] * len(captions)
    except (ValueError, KeyError, TypeError):
        return [Picture(sheet, "")]
    tile = [max(size[axis] for size in sizes) for axis in (0, 1)]
    pictures = []
    rows = zip(sizes, captions, layouts, legends, strict=True)
    for index, (size, caption, (count, foot), legend) in enumerate(rows):
        row, column = divmod(index, columns)
        x = gap + column * (tile[0] + gap) + (tile[0] - size[0]) // 2
        y = gap + row * (tile[1] + gap) + (tile[1] - size[1]) // 2
        image = sheet.crop((x, y, x + size[0], y + size[1]))
        legend = tuple((str(name), str(color)) for name, color in legend)
        pictures.append(Picture(image, caption, int(count), int(foot), legend))
    return pictures
