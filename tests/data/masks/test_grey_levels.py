"""Values that are greys of a picture, not numbers of classes, are refused with a way on."""

import numpy as np
import pytest

from efficientvision.data.masks import convert, folders, mask_files
from efficientvision.data.masks.grey_levels import refuse_grey_levels
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save

HW = (40, 50)


def counts(**shares: int) -> np.ndarray:
    pixels = np.zeros(256, np.int64)
    for value, count in shares.items():
        pixels[int(value.removeprefix("v"))] = count
    return pixels


REFUSED = {
    "three greys": (counts(v0=900, v150=50, v250=50), "values 0, 150, 250, which look like greys"),
    "a fifth each": (counts(v0=9, v50=9, v100=9, v150=9, v200=9), "values 0, 50, 100, 150, 200, w"),
    "white with specks": (counts(v0=500, v1=3, v254=3, v255=494), "values 0, 1, 254, 255, which"),
    "white with one speck": (
        counts(v0=500, v1=3, v255=497),
        "values 0, 1, 255, and 255, .* makes up 50% of .*`ignore_label=255`",
    ),
    "white with soft edges": (
        counts(v0=700, v255=237, **{f"v{k}": 1 for k in range(1, 255, 2)}),
        "values 0, 1, 3, 5, .* 255, which look like greys",
    ),
    "three greys with soft edges": (
        counts(v0=7000, v128=900, v250=900, **{f"v{k}": 3 for k in range(1, 128)}),
        "which look like greys",
    ),
    "black and white": (counts(v0=500, v255=500), "contain class 0 and nothing else besides 255"),
    "one class": (counts(v3=500), "contain class 3 and nothing else"),
    "all ignored": (counts(v255=500), "contain no class and nothing else"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_greys_are_refused_with_their_values(case):
    pixels, says = REFUSED[case]
    with pytest.raises(UserError, match=says) as raised:
        refuse_grey_levels(pixels)
    assert "`palette`, a file with lines of R G B name" in str(raised.value)


@pytest.mark.parametrize(
    "pixels",
    [
        counts(v0=500, v1=1),
        counts(v0=500, v1=100, v255=1900),
        counts(v0=500, v8=100),
        counts(**{f"v{k}": 5 for k in range(0, 150, 3)}),
        counts(**{f"v{k}": 5 for k in range(34)}),
        # PASCAL VOC: 20 classes on much background, and a border.
        counts(v0=7300, v255=550, **{f"v{k}": 100 for k in range(1, 21)}),
        # As of 150 classes whose shares fall by a twentieth from each to the next.
        counts(**{f"v{k}": int(10**7 * 0.95**k) + 1 for k in range(151)}),
    ],
)
def test_classes_are_taken(pixels):
    refuse_grey_levels(pixels)


def test_names_and_flags_have_the_last_word():
    refuse_grey_levels(counts(v0=900, v150=50, v250=50), named=True)
    refuse_grey_levels(counts(v0=500, v1=3, v255=497), white_is_ignored=True)
    with pytest.raises(UserError, match="255, which is ignored, makes up 50%"):
        refuse_grey_levels(counts(v0=500, v1=3, v255=497), named=True)


def written(tmp_path, values):
    """Two pairs with the rows of `values`, the same number of each."""
    rows = np.repeat(np.array(values, np.uint8), HW[0] // len(values))
    for k in range(2):
        save(tmp_path / "images" / f"{k}.png", np.full((*HW, 3), 90, np.uint8))
        save(tmp_path / "masks" / f"{k}.png", np.repeat(rows[:, np.newaxis], HW[1], axis=1))
    return folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))


def test_a_palette_of_greys_is_the_way_on(tmp_path):
    found = written(tmp_path, [0, 150, 250, 150])
    out = str(tmp_path / "out")
    labels = mask_files.MaskFiles(None, mask_files.label_table(()))
    with pytest.raises(UserError, match="values 0, 150, 250, which look like greys"):
        convert.convert(found, out, labels, None, num_workers=1)
    assert not (tmp_path / "out").exists()
    (tmp_path / "palette.txt").write_text("0 0 0 sky\n150 150 150 road\n250 250 250 car\n")
    colors, names = mask_files.read_palette(str(tmp_path / "palette.txt"))
    reader = mask_files.MaskFiles(3, {}, colors)
    (report,) = convert.convert(found, out, reader, dict(enumerate(names)), num_workers=1)
    for mask in read_masks(report).values():
        np.testing.assert_array_equal(mask[::10, 0], [0, 1, 2, 1])


def test_a_file_with_greys_among_named_classes(tmp_path):
    """The file's own values are listed, before those of the whole set are looked at."""
    found = written(tmp_path, [0, 150, 250, 150])
    reader = mask_files.MaskFiles(3, mask_files.label_table(()))
    with pytest.raises(UserError, match="2 pairs are spoilt") as raised:
        convert.convert(
            found, str(tmp_path / "out"), reader, {0: "a", 1: "b", 2: "c"}, num_workers=1
        )
    assert all(
        "(0, 150, 250) are greys" in line and "`palette`" in line for line in raised.value.lines
    )


def _set(tmp_path, *masks):
    for k, mask in enumerate(masks):
        save(tmp_path / "images" / f"{k}.png", np.full((*mask.shape, 3), 90, np.uint8))
        save(tmp_path / "masks" / f"{k}.png", mask.astype(np.uint8))
    return folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))


def test_black_and_white_among_masks_of_numbers(tmp_path):
    """Their white would be ignored, which is most of what was drawn."""
    drawn = np.eye(9)
    pairs = _set(tmp_path, drawn, drawn, drawn * 255)
    reader = mask_files.MaskFiles(None, mask_files.label_table(()))
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match=r"masks/2.png has the values 0, 255, and .*/0.png .* 0, 1"):
        convert.convert(pairs, out, reader, None, num_workers=1)
    with pytest.raises(UserError, match="255 255 255 crack; if it means no class, set `ignore_l"):
        convert.convert(pairs, out, reader, {0: "sky", 1: "crack"}, num_workers=1)
    (report,) = convert.convert(pairs, out, reader, None, white_is_ignored=True, num_workers=1)
    assert report.num_images == 3
    colors = {(0, 0, 0): 0, (1, 1, 1): 1, (255, 255, 255): 1}
    (report,) = convert.convert(
        pairs, out, mask_files.MaskFiles(2, {}, colors), {0: "sky", 1: "crack"}, num_workers=1
    )
    for mask in read_masks(report).values():
        np.testing.assert_array_equal(mask, drawn)


def test_borders_that_are_ignored_are_no_black_and_white(tmp_path):
    drawn = np.eye(9)
    bordered = drawn.copy()
    bordered[0, 8] = 255
    pairs = _set(tmp_path, drawn, bordered, np.where(drawn > 0, 0, bordered))
    reader = mask_files.MaskFiles(None, mask_files.label_table(()))
    (report,) = convert.convert(pairs, str(tmp_path / "out"), reader, None, num_workers=1)
    assert report.num_images == 3
