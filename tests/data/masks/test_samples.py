"""Mask files of any kind of samples: the labels are the numbers that were written."""

import struct

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.masks import mask_files
from efficientvision.data.masks.pairs import SpoiltPair
from tests.made_raw_pictures import grey_png, rgb_png_of_16_bits

HW = (6, 8)
READER = mask_files.MaskFiles(None, mask_files.label_table(()))


def labels(count: int) -> np.ndarray:
    """Every label from 0 to `count` - 1."""
    return (np.arange(HW[0] * HW[1]) % count).astype(np.uint8).reshape(HW)


def read(path) -> np.ndarray:
    mask = READER(str(path), HW)
    assert mask.dtype == np.uint8
    return mask


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_pngs_of_few_bits(tmp_path, bits):
    """Pillow shows label 1 of 4 bits as 17, and of 2 bits as 85."""
    expected = labels(min(2**bits, 20))
    (tmp_path / "m.png").write_bytes(grey_png(expected, bits))
    np.testing.assert_array_equal(read(tmp_path / "m.png"), expected)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_tiffs_of_few_bits(tmp_path, bits):
    expected = labels(2**bits)
    text = "".join(f"{value:0{bits}b}" for value in expected.reshape(-1))
    data = int(text, 2).to_bytes(len(text) // 8, "big")
    entries = [
        (256, HW[1]), (257, HW[0]), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
        (278, HW[0]), (279, len(data)),
    ]  # fmt: skip
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    file = start + data + struct.pack("<H", len(entries)) + fields + bytes(4)
    (tmp_path / "m.tif").write_bytes(file)
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), expected)


@pytest.mark.parametrize("maximum", [3, 20, 150, 255, 1000])
def test_pgms_of_any_maximum(tmp_path, maximum):
    """Pillow stretches 0..maximum to the whole range."""
    expected = labels(min(maximum + 1, 21))
    kind = ">u2" if maximum > 255 else "u1"
    header = f"P5\n# by hand\n{HW[1]} {HW[0]}\n{maximum}\n".encode()
    (tmp_path / "m.pgm").write_bytes(header + expected.astype(kind).tobytes())
    np.testing.assert_array_equal(read(tmp_path / "m.pgm"), expected)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_wide_samples_with_whole_labels(tmp_path, kind):
    expected = labels(21)
    Image.fromarray(expected.astype(kind)).save(tmp_path / "m.tif")
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_greys_in_other_modes(tmp_path, mode):
    """Three equal channels are one; an index is a label whatever its colour."""
    expected = labels(21)
    Image.fromarray(expected).convert(mode).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read(tmp_path / "m.png"), expected)


def test_black_and_white_of_one_bit(tmp_path):
    expected = labels(2)
    Image.fromarray(expected.astype(bool)).save(tmp_path / "m.png")
    assert Image.open(tmp_path / "m.png").mode == "1"
    np.testing.assert_array_equal(read(tmp_path / "m.png"), expected)


def test_masks_without_loss_in_webp(tmp_path):
    expected = labels(21)
    Image.fromarray(expected).convert("RGB").save(tmp_path / "m.webp", lossless=True)
    np.testing.assert_array_equal(read(tmp_path / "m.webp"), expected)


def _float(path, value):
    values = labels(3).astype(np.float32)
    values[2, 5] = value
    Image.fromarray(values).save(path / "m.tif")
    return path / "m.tif"


def _saved(path, array, name="m.png", **options):
    Image.fromarray(array).save(path / name, **options)
    return path / name


def _written(path, content):
    (path / "m.png").write_bytes(content)
    return path / "m.png"


RGB = np.repeat(labels(3)[..., np.newaxis], 3, axis=-1)
REFUSED = {
    "fractions": (lambda p: _float(p, 0.5), r"samples such as 0.5 \(row 2, column 5\).*round it"),
    "not a number": (lambda p: _float(p, np.nan), r"samples such as nan \(row 2, column 5\)"),
    "negative": (lambda p: _float(p, -1), "has label -1 .* save the labels with 8 bits"),
    "too high": (lambda p: _float(p, 300), "has label 300 .* save the labels with 8 bits"),
    "negative integers": (
        lambda p: _saved(p, labels(3).astype(np.int32) - 1, "m.tif"), "has label -1 ",
    ),
    "16 bits in colours": (
        lambda p: _written(p, rgb_png_of_16_bits(RGB.astype(np.uint16))),
        "several channels with 16 bits, but only 8",
    ),
    "colours": (
        lambda p: _saved(p, RGB * np.array([1, 2, 3], np.uint8)),
        r"is a colour picture \(RGB\).*`palette`",
    ),
    "transparent": (
        lambda p: _saved(p, np.stack([labels(3), labels(2) * 255], axis=-1)),
        "50.0% .* transparent",
    ),
    "JPEG": (lambda p: _saved(p, labels(3), "m.jpg"), "is a JPEG, whose compression"),
    "lossy WebP": (lambda p: _saved(p, RGB, "m.webp"), "is a lossy WebP, whose compression"),
    "cut short": (
        lambda p: _written(p, grey_png(np.random.default_rng(0).integers(0, 9, (90, 90)), 8)[:900]),
        "cannot be decoded, it may have been cut short",
    ),
    "empty": (lambda p: _written(p, b""), r"is empty \(0 bytes\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_masks_that_cannot_be_used(tmp_path, case):
    make, says = REFUSED[case]
    with pytest.raises(SpoiltPair, match=says) as raised:
        read(make(tmp_path))
    assert str(raised.value).count("\n") == 0 and str(raised.value).endswith(".")


def test_large_masks(tmp_path):
    path = _saved(tmp_path, labels(3))
    reader = mask_files.MaskFiles(None, mask_files.label_table(()), max_pixels=47)
    with pytest.raises(SpoiltPair, match="has more than 47 pixels: raise max_pixels"):
        reader(str(path), HW)


def test_pillows_own_limit_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(read(_saved(tmp_path, labels(3))), labels(3))


def test_a_palette_maps_greys_of_any_kind(tmp_path):
    """0, 150 and 250 are no labels: the palette's lines say which classes they are."""
    (tmp_path / "palette.txt").write_text("0 0 0 sky\n150 150 150 road\n250 250 250 car\n")
    colors, names = mask_files.read_palette(str(tmp_path / "palette.txt"))
    reader = mask_files.MaskFiles(len(names), {}, colors)
    greys = np.array([0, 150, 250], np.uint8)[labels(3)]
    for name, array in (("m.png", greys), ("m.tif", greys.astype(np.float32))):
        np.testing.assert_array_equal(reader(str(_saved(tmp_path, array, name)), HW), labels(3))
    deep = _saved(tmp_path, greys.astype(np.uint16) * 257)
    with pytest.raises(SpoiltPair, match="has greys from 0 to 64250.*save it with 8 bits"):
        reader(str(deep), HW)


@pytest.mark.parametrize(("suffix", "options"), [("tif", {}), ("gif", {}), ("png", {})])
def test_a_mask_of_several_pages(tmp_path, suffix, options):
    path = tmp_path / f"m.{suffix}"
    pages = [Image.fromarray(labels(count)) for count in (2, 3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    with pytest.raises(SpoiltPair, match="has 2 pages or frames, but a mask has one"):
        read(path)


def test_smaller_copies_for_viewers_are_no_pages(tmp_path):
    """As GeoTIFF files have them."""
    copy = Image.fromarray(labels(3)[::2, ::2])
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(labels(3)).save(tmp_path / "m.tif", save_all=True, append_images=[copy])
    with Image.open(tmp_path / "m.tif") as file:
        assert file.n_frames == 2
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), labels(3))
