"""Anti-aliased colours get the nearest colour's class, are counted, and have limits."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from efficientvision.data.masks import convert, folders, mask_files
from efficientvision.data.masks.pairs import SpoiltPair
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save

BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)
COLORS = {BLACK: 0, RED: 1, GREEN: 255}
READER = mask_files.MaskFiles(2, {}, COLORS)
SIDE, SCALE = 60, 4


def disc(color, background=BLACK, side=SIDE) -> Image.Image:
    """A disc of half the width, drawn large and shrunk: its edge is a mixture of both colours."""
    large = Image.new("RGB", (side * SCALE, side * SCALE), background)
    margin = side * SCALE // 4
    box = (margin, margin, side * SCALE - margin - 1, side * SCALE - margin - 1)
    ImageDraw.Draw(large).ellipse(box, fill=color)
    return large.resize((side, side), Image.Resampling.BOX)


def covered() -> np.ndarray:
    """float [SIDE, SIDE], how much of each pixel the disc covers."""
    return np.asarray(disc((255, 255, 255)))[..., 0] / 255.0


def read(path, reader=READER):
    return reader.read(str(path), (SIDE, SIDE))


def test_an_edge_goes_to_the_colour_that_has_more_of_it(tmp_path):
    disc(RED).save(tmp_path / "m.png")
    drawn = read(tmp_path / "m.png")
    share = covered()
    mixed = (share > 0) & (share < 1)
    assert 50 < mixed.sum() < 400
    clear = np.abs(share - 0.5) > 0.01
    np.testing.assert_array_equal(drawn.values[clear], (share > 0.5)[clear])
    assert list(drawn.notes.values()) == [mixed.sum()]


def test_edges_of_what_is_no_class_are_none(tmp_path):
    disc(GREEN).save(tmp_path / "m.png")
    values = read(tmp_path / "m.png").values
    np.testing.assert_array_equal(np.unique(values), [0, 255])
    assert (values == 255).sum() == (covered() > 0.5).sum()


def test_exact_colours_are_not_counted(tmp_path):
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[:20] = RED
    drawn = read(save(tmp_path / "m.png", mask))
    assert not drawn.notes
    np.testing.assert_array_equal(drawn.values[:, 0], (np.arange(SIDE) < 20).astype(np.uint8))


def test_a_colour_that_is_too_far_from_all(tmp_path):
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[7, 3] = 0, 0, 200
    path = save(tmp_path / "m.png", mask)
    with pytest.raises(
        SpoiltPair,
        match=r"colour 0 0 200 \(row 7, column 3; 1 of its 3,600 .* `palette_tolerance` to 200",
    ):
        read(path)
    drawn = read(path, mask_files.MaskFiles(2, {}, COLORS, tolerance=200))
    assert drawn.values[7, 3] == 0 and list(drawn.notes.values()) == [1]


def test_a_tolerance_of_zero(tmp_path):
    disc(RED).save(tmp_path / "m.png")
    exact = mask_files.MaskFiles(2, {}, COLORS, tolerance=0)
    with pytest.raises(SpoiltPair, match="which the palette lacks: add it"):
        read(tmp_path / "m.png", exact)


def test_a_colour_that_fills_an_area_is_a_class_that_the_palette_lacks(tmp_path):
    """Near enough to red, but no edge."""
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[10:20, 10:20] = 160, 0, 0
    with pytest.raises(
        SpoiltPair, match="colour 160 0 0 .* fills areas is not an edge between others"
    ):
        read(save(tmp_path / "m.png", mask))


def test_noise_of_few_levels_may_fill_areas(tmp_path):
    """As of a mask that was a JPEG once."""
    mask = np.asarray(disc(RED)).astype(int)
    noisy = np.clip(mask + np.random.default_rng(0).integers(-9, 10, mask.shape), 0, 255)
    noisy[:5] = 9, 8, 7
    drawn = read(save(tmp_path / "m.png", noisy.astype(np.uint8)))
    clear = np.abs(covered() - 0.5) > 0.05
    np.testing.assert_array_equal(drawn.values[clear], (covered() > 0.5)[clear])


def test_a_photo_is_no_mask(tmp_path):
    photo = np.random.default_rng(0).integers(0, 128, (SIDE, SIDE, 3)).astype(np.uint8)
    with pytest.raises(
        SpoiltPair, match="in 100% of its pixels, more than edges can explain: is it"
    ):
        read(save(tmp_path / "m.png", photo))


def test_black_and_white_with_greys_at_the_edges(tmp_path):
    """As the refusal of such masks without a palette advises."""
    reader = mask_files.MaskFiles(2, {}, {BLACK: 0, (255, 255, 255): 1})
    disc((255, 255, 255)).convert("L").save(tmp_path / "m.png")
    drawn = read(tmp_path / "m.png", reader)
    clear = np.abs(covered() - 0.5) > 0.01
    np.testing.assert_array_equal(drawn.values[clear], (covered() > 0.5)[clear])


def test_the_pixels_of_a_set_are_counted_in_its_report(tmp_path):
    for k in range(3):
        save(tmp_path / "images" / f"{k}.png", np.full((SIDE, SIDE, 3), 90, np.uint8))
        (tmp_path / "masks").mkdir(exist_ok=True)
        disc(RED).save(tmp_path / "masks" / f"{k}.png")
    pairs = str(tmp_path / "images"), str(tmp_path / "masks")
    out = str(tmp_path / "out")
    (report,) = convert.convert(
        folders.find_pairs(*pairs), out, READER, {0: "sky", 1: "ball"}, num_workers=1
    )
    mixed = ((covered() > 0) & (covered() < 1)).sum()
    assert report.skipped == {
        "mask pixels between the palette's colours, given the class of the nearest": 3 * mixed
    }
    assert {int(m.sum()) for m in read_masks(report).values()} == {int((covered() > 0.5).sum())}
    with pytest.raises(UserError, match=r"is a colour picture \(RGB\)"):
        labels = mask_files.MaskFiles(2, mask_files.label_table(()))
        convert.convert(folders.find_pairs(*pairs), out, labels, None, num_workers=1)


@pytest.mark.parametrize("at", [np.s_[2:4], np.s_[2], np.s_[:, 3]])
def test_lines_of_a_class_that_the_palette_lacks(tmp_path, at):
    mask = np.asarray(disc(RED)).copy()
    mask[at] = 0, 120, 120
    with pytest.raises(SpoiltPair, match="colour 0 120 120 .* not edges .*tolerance` to 129"):
        read(save(tmp_path / "m.png", mask), mask_files.MaskFiles(2, {}, {BLACK: 0, RED: 1}))


def test_a_raised_tolerance_takes_lines_of_any_colour(tmp_path):
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[2:4] = 0, 120, 120
    reader = mask_files.MaskFiles(2, {}, {BLACK: 0, RED: 1}, 129)
    drawn = read(save(tmp_path / "m.png", mask), reader)
    assert not drawn.values.any() and list(drawn.notes.values()) == [2 * SIDE]


def test_a_second_shade_that_fills_areas_is_another_class(tmp_path):
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[5:10], mask[20:40] = (128, 0, 0), (128, 10, 5)
    reader = mask_files.MaskFiles(2, {}, {BLACK: 0, (128, 0, 0): 1})
    with pytest.raises(SpoiltPair, match="has the colour 128 10 5 .* fills areas"):
        read(save(tmp_path / "m.png", mask), reader)
    mask[5:10] = 0
    drawn = read(save(tmp_path / "n.png", mask), reader)  # All of it a little off.
    np.testing.assert_array_equal(drawn.values, mask[..., 0] // 128)


@pytest.mark.parametrize("filter_name", ["BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_edges_and_corners_of_three_classes(tmp_path, filter_name):
    large = np.zeros((240, 240, 3), np.uint8)
    large[20:120, 20:160], large[120:200, 90:230] = RED, GREEN
    small = Image.fromarray(large).resize((SIDE, SIDE), getattr(Image.Resampling, filter_name))
    drawn = read(save(tmp_path / "m.png", np.asarray(small)))
    wanted = np.zeros((SIDE, SIDE), np.uint8)
    wanted[5:30, 5:40], wanted[30:50, 23:57] = 1, 255
    assert (drawn.values != wanted).mean() < 0.02  # Half a pixel of one side.


def test_numbers_of_classes_under_a_palette(tmp_path):
    """0 and 1 are no shades of black."""
    reader = mask_files.MaskFiles(2, {}, {BLACK: 0, (255, 255, 255): 1})
    path = save(tmp_path / "m.png", np.eye(SIDE, dtype=np.uint8))
    with pytest.raises(SpoiltPair, match="the values 0, 1, which are class numbers"):
        read(path, reader)
    both = {BLACK: 0, (1, 1, 1): 1, (255, 255, 255): 1}
    drawn = read(path, mask_files.MaskFiles(2, {}, both))
    np.testing.assert_array_equal(drawn.values, np.eye(SIDE, dtype=np.uint8))
