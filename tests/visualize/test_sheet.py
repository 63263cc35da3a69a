"""Sheets: what is put on one comes off it again."""

import io

import numpy as np
import pytest
from PIL import Image

from efficientvision.visualize.sheet import Picture, beside, fit, panels, read_sheet, write_sheet

COLORS = [(250, 0, 0), (0, 0, 250), (0, 160, 0)]


def _plain(color, size=(64, 32)):
    return Image.new("RGB", size, color)


@pytest.mark.parametrize("columns", [1, 2, 9])
def test_a_sheet_is_cut_into_its_pictures(columns):
    sizes = [(64, 32), (48, 40), (64, 32)]
    pictures = [
        Picture(_plain(color, size), f"№ {i}")
        for i, (color, size) in enumerate(zip(COLORS, sizes, strict=True))
    ]
    content = write_sheet(pictures, columns)
    sheet = Image.open(io.BytesIO(content))
    assert sheet.format == "JPEG"
    assert sheet.width == min(columns, 3) * 72 + 8
    again = read_sheet(content)
    assert [p.caption for p in again] == ["№ 0", "№ 1", "№ 2"]
    for picture, original in zip(again, pictures, strict=True):
        assert picture.image.size == original.image.size
        difference = np.abs(np.subtract(picture.image, original.image, dtype=float))
        assert difference.mean() < 6  # JPEG


@pytest.mark.parametrize("comment", [b"", b"from a camera", b"[1]", b'{"columns": 2}'])
def test_any_other_picture_is_one_picture(comment):
    content = io.BytesIO()
    _plain(COLORS[0]).save(content, "JPEG", comment=comment)
    (picture,) = read_sheet(content.getvalue())
    assert picture.image.size == (64, 32) and picture.caption == ""


def test_fit_keeps_the_shape():
    assert fit(_plain(COLORS[0], (100, 50)), 200).size == (200, 100)
    assert fit(np.zeros((400, 100, 3), np.uint8), 200).size == (50, 200)
    assert fit(_plain(COLORS[0], (1000, 1)), 100).size == (100, 1)


def test_two_pictures_beside_each_other():
    both = beside(
        _plain(COLORS[0]), _plain(COLORS[1]), titles=("truth", "a title far too long " * 9)
    )
    assert both.width == 2 * 64 + 8 and both.height > 32
    pixels = np.asarray(both)
    assert tuple(pixels[-5, 5]) == COLORS[0]
    assert tuple(pixels[-5, -5]) == COLORS[1]
    bar = pixels[: both.height - 32]
    assert (bar[:, :64] > 200).any() and (bar[:, 72:] > 200).any()
    left, right = panels(Picture(both, "", panels=2))
    assert left.size == right.size == (64, both.height)
    assert left.getpixel((5, both.height - 5)) == COLORS[0]
    assert right.getpixel((5, both.height - 5)) == COLORS[1]


def test_panels_foot_and_legend_come_back():
    row = beside(*map(_plain, COLORS), titles=("a", "b", "c"))
    whole = Image.new("RGB", (row.width, row.height + 20), (250, 250, 250))
    whole.paste(row)
    legend = (("ロード", "#00a000"), ("x" * 80, "#0000fa"))
    (again,) = read_sheet(write_sheet([Picture(whole, "photo", 3, 20, legend)], 1))
    assert (again.panels, again.foot, again.legend) == (3, 20, legend)
    parts = panels(again)
    assert [part.size for part in parts] == [(64, row.height)] * 3
    for part, color in zip(parts, COLORS, strict=True):
        assert np.abs(np.subtract(part.getpixel((30, row.height - 8)), color)).max() < 30


def test_a_comment_that_is_too_long_for_a_jpeg_is_shortened():
    many = [Picture(_plain(COLORS[0]), "猫" * 4000, legend=(("n" * 9000, "#000000"),))] * 20
    again = read_sheet(write_sheet(many, 4))
    assert len(again) == 20 and 0 < len(again[0].caption) < 4000 and not again[0].legend
