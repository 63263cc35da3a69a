import numpy as np
import pytest
from PIL import Image

from efficientvision.visualize.draw import (
    class_color,
    contact_sheet,
    draw_detections,
    text_color,
    to_pil,
)

GREY = np.full((200, 300, 3), 128, np.uint8)


def drawn(*args, **kwargs):
    return np.asarray(draw_detections(*args, **kwargs))


def test_a_box_is_drawn_where_it_is_and_nowhere_else():
    result = drawn(GREY, [[60, 50, 160, 200]], [1], [0.9], {1: "cat"}, line_thickness=2)
    changed = np.any(result != GREY, axis=-1)
    assert result.shape == GREY.shape
    for y, x in ((60, 100), (159, 100), (100, 50), (100, 199)):
        assert changed[y, x]
    assert not changed[75:150, 60:190].any()  # inside the frame
    assert not changed[170:].any() and not changed[:, 210:].any()


def test_the_input_is_left_as_it_is():
    image = GREY.copy()
    draw_detections(image, [[60, 50, 160, 200]], [1], [0.9])
    assert np.array_equal(image, GREY)


def test_threshold_and_number_of_boxes():
    boxes = [[60, 50, 160, 100], [60, 150, 160, 200]]
    low = drawn(GREY, boxes, [1, 1], [0.9, 0.3], min_score_thresh=0.4, line_thickness=1)
    one = drawn(
        GREY, boxes, [1, 1], [0.9, 0.3], min_score_thresh=0, max_boxes_to_draw=1, line_thickness=1
    )
    assert np.array_equal(low, one)
    assert np.array_equal(low[100, 150], GREY[100, 150])
    both = drawn(GREY, boxes, [1, 1], [0.9, 0.3], min_score_thresh=0, line_thickness=1)
    assert tuple(both[100, 150]) == class_color(1)


def test_the_line_has_the_thickness_asked_for():
    result = drawn(GREY, [[60, 50, 160, 200]], [3], line_thickness=5)
    row = [tuple(pixel) == class_color(3) for pixel in result[120, :120]]
    assert sum(row) == 5


def test_colours_are_stable_and_differ():
    assert class_color(7) == class_color(7)
    assert len({class_color(i) for i in range(1, 91)}) == 90


@pytest.mark.parametrize("class_id", range(1, 91))
def test_text_is_readable_on_its_background(class_id):
    def luminance(color):
        linear = [
            c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
            for c in color
        ]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    color = class_color(class_id)
    high, low = sorted([luminance(color), luminance(text_color(color))], reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.0


def test_labels_stay_inside_the_picture():
    # A box over the whole picture: its label can only stand inside.
    whole = drawn(GREY, [[0, 0, 200, 300]], [1], [0.5], {1: "a name"}, line_thickness=1)
    background = np.all(whole == class_color(1), axis=-1)
    assert background[1:10, 1:50].mean() > 0.3
    corner = drawn(GREY, [[190, 290, 199, 299]], [1], [0.5], {1: "a longer name"})
    assert np.any(corner != GREY, axis=-1).sum() > 400


def test_the_label_grows_with_the_picture():
    def label_height(side):
        image = np.zeros((side, side, 3), np.uint8)
        result = drawn(image, [[side // 2, 10, side - 10, side // 2]], [1], [0.5], line_thickness=1)
        filled = np.all(result[: side // 2 - 1] == class_color(1), axis=-1)
        return filled.any(axis=1).sum()

    assert label_height(1600) > 2 * label_height(400)


@pytest.mark.parametrize(
    "box", [[-50, -50, 900, 900], [50, 60, 50, 60], [90, 90, 10, 10], [np.nan, 0, 5, 5]]
)
def test_odd_boxes_do_no_harm(box):
    drawn(GREY, [box], [1], [0.9])


def test_a_box_outside_the_picture_is_not_drawn():
    result = drawn(GREY, [[-40, -40, -10, -10], [300, 400, 350, 450]], [1, 2], [0.9, 0.9])
    assert np.array_equal(result, GREY)


def test_no_boxes():
    assert np.array_equal(drawn(GREY, np.zeros((0, 4)), [], []), GREY)


def test_to_pil_takes_grey_and_float_and_refuses_batches():
    assert to_pil(GREY[..., 0]).size == (300, 200)
    assert np.array_equal(np.asarray(to_pil(GREY.astype(np.float32))), GREY)
    rounded = to_pil(np.array([[[199.9, -3.0, 300.0]]]))
    assert rounded.getpixel((0, 0)) == (200, 0, 255)
    with pytest.raises(ValueError, match="shape"):
        to_pil(GREY[None])


def test_contact_sheet_shows_every_picture():
    red = Image.new("RGB", (100, 50), (255, 0, 0))
    blue = Image.new("RGB", (50, 100), (0, 0, 255))
    sheet = np.asarray(contact_sheet([red, blue, red], columns=2, tile=64, gap=4))
    assert sheet.shape == (2 * 68 + 4, 2 * 68 + 4, 3)
    assert tuple(sheet[36, 36]) == (255, 0, 0)
    assert tuple(sheet[36, 104]) == (0, 0, 255)
    assert tuple(sheet[104, 36]) == (255, 0, 0)
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


def test_a_name_of_two_lines_is_drawn_in_one():
    """As of a cell of a spreadsheet, or of other makers' records."""
    photo = np.full((60, 80, 3), 90, np.uint8)
    one, two = (
        draw_detections(photo, [[9, 9, 40, 40]], [1], [0.9], {1: name})
        for name in ("big cat", "big\ncat")
    )
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
