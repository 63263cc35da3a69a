"""One index must mean one colour in all masks of a set."""

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.masks import convert, folders, mask_files, voc
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save

HW = (8, 10)
BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)
MASK = np.zeros(HW, np.uint8)
MASK[:4] = 1
READER = mask_files.MaskFiles(None, mask_files.label_table(()))


def indexed(path, indices, colors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices)
    image.putpalette([value for color in colors for value in color])
    image.save(path)


@pytest.fixture
def put(tmp_path):
    """Writes a pair by name, with the colours of its mask's palette."""

    def write(name, colors, indices=MASK):
        save(tmp_path / "images" / f"{name}.png", np.full((*HW, 3), 90, np.uint8))
        indexed(tmp_path / "masks" / f"{name}.png", indices, colors)

    return write


def found(tmp_path, **options):
    return folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"), **options)


def names(pairs) -> list[str]:
    return [pair.source_id for pair in pairs.parts["train"]]


def test_a_palette_that_differs_is_named(tmp_path, put):
    """Index 1 is green in one file, and index 0 and 1 are exchanged in another."""
    for name in "abc":
        put(name, (BLACK, RED))
    put("d", (BLACK, GREEN))
    put("e", (RED, BLACK), 1 - MASK)
    pairs = found(tmp_path)
    assert names(pairs) == ["a", "b", "c"]
    first, second = map(str, pairs.spoilt)
    assert (
        "masks/d.png has another palette than the other masks (index 1 is the colour 0 255 0"
        in first
    )
    assert "255 0 0 in others" in first and "`palette`" in first
    assert "masks/e.png" in second and "index 0 is the colour 255 0 0" in second
    with pytest.raises(UserError, match="2 pairs are spoilt") as raised:
        convert.convert(pairs, str(tmp_path / "out"), READER, None, num_workers=1)
    assert len(raised.value.lines) == 2


def test_such_masks_are_left_out_and_counted(tmp_path, put):
    for name in "abc":
        put(name, (BLACK, RED))
    put("d", (BLACK, GREEN))
    (report,) = convert.convert(
        found(tmp_path), str(tmp_path / "out"), READER, None, skip_bad=True, num_workers=1
    )
    assert sorted(read_masks(report)) == ["a", "b", "c"]
    ((reason, count),) = report.skipped.items()
    assert count == 1 and reason.startswith("masks with another palette than the others left out")


@pytest.mark.parametrize(
    "others",
    [
        (BLACK, RED),
        (BLACK, RED, GREEN),  # Longer, as far as both go the same.
        (BLACK, RED, *[(9, 9, k) for k in range(200)]),
    ],
)
def test_palettes_that_are_one(tmp_path, put, others):
    put("a", (BLACK, RED))
    put("b", others)
    pairs = found(tmp_path)
    assert names(pairs) == ["a", "b"] and not pairs.spoilt


def test_colours_that_no_pixel_has_may_differ(tmp_path, put):
    put("a", (BLACK, RED, RED, GREEN))
    put("b", (BLACK, RED, GREEN, RED))
    assert names(found(tmp_path)) == ["a", "b"]


def test_greys_beside_palettes(tmp_path, put):
    put("a", (BLACK, RED))
    put("b", (BLACK, RED))
    save(tmp_path / "masks" / "b.png", MASK)
    assert names(found(tmp_path)) == ["a", "b"]


def test_masks_by_their_colours_or_by_their_indices(tmp_path, put):
    """What the sentence advises: both ways read all of the masks."""
    put("a", (BLACK, RED))
    put("b", (RED, BLACK), 1 - MASK)
    pairs = found(tmp_path, compare_palettes=False)
    assert names(pairs) == ["a", "b"]
    by_color = mask_files.MaskFiles(2, {}, {BLACK: 0, RED: 1})
    for pair in pairs.parts["train"]:
        np.testing.assert_array_equal(by_color(pair.mask, HW), MASK)
    a, b = (READER(pair.mask, HW) for pair in pairs.parts["train"])
    np.testing.assert_array_equal(a, MASK)
    np.testing.assert_array_equal(b, 1 - MASK)


def test_lists_and_voc_compare_too(tmp_path, put):
    for name in "abc":
        put(name, (BLACK, RED))
    put("d", (BLACK, GREEN))
    lines = [f"images/{name}.png, masks/{name}.png" for name in "abcd"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    listed = folders.read_list(str(tmp_path / "train.txt"))
    assert names(listed) == ["a", "b", "c"] and "masks/d.png" in str(listed.spoilt[0])
    assert len(names(folders.read_list(str(tmp_path / "train.txt"), compare_palettes=False))) == 4
    root = tmp_path / "VOC2012"
    root.mkdir()
    (tmp_path / "images").rename(root / "JPEGImages")
    (tmp_path / "masks").rename(root / "SegmentationClass")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("a\nb\nc\nd\n")
    assert "SegmentationClass/d.png has another palette" in str(voc.find(str(root)).spoilt[0])


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
def test_palettes_of_every_format_that_has_them(tmp_path, suffix):
    for name, colors in (("a", (BLACK, RED)), ("b", (BLACK, RED)), ("c", (RED, BLACK))):
        save(tmp_path / "images" / f"{name}.png", np.full((*HW, 3), 90, np.uint8))
        indices = MASK if colors[0] == BLACK else 1 - MASK
        indexed(tmp_path / "masks" / f"{name}.{suffix}", indices, colors)
    pairs = found(tmp_path)
    assert names(pairs) == ["a", "b"]
    (spoilt,) = pairs.spoilt
    assert f"c.{suffix} has another palette" in str(spoilt)
