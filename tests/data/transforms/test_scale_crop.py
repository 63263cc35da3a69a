"""Random windows, against Pillow's resize and crop."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.transforms.scale_crop import (
    draw_scale_crop,
    place_scale_crop,
    render_image,
    render_mask,
)


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // 5), -(-width // 5), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def cut(pixels, start_yx, window_hw, fill):
    """numpy's way to cut a window that may exceed the picture."""
    top, left = start_yx
    margin = max(window_hw) + 1
    pads = [(margin, margin), (margin, margin)] + [(0, 0)] * (pixels.ndim - 2)
    padded = np.pad(pixels, pads, constant_values=fill)
    top, left = top + margin, left + margin
    return padded[top : top + window_hw[0], left : left + window_hw[1]]


@pytest.mark.parametrize("source", [(60, 90), (37, 31), (128, 40)])
@pytest.mark.parametrize("scale", [0.55, 0.73, 1.0, 1.6, 2.0])
def test_a_window_is_a_piece_of_pillows_resize(source, scale):
    image = photo(*source)
    mask = np.random.default_rng(1).integers(0, 21, source, dtype=np.uint8)
    plan = place_scale_crop(
        tf.constant([0.0, 0.3, 0.8]), tf.constant(source), tf.constant([48, 64]), (scale, scale)
    )
    height, width = plan.part_hw.numpy()
    assert (height, width) == pytest.approx((source[0] * scale, source[1] * scale), abs=1)
    start = -plan.part_yx.numpy()

    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    found = render_image(tf.constant(image), plan).numpy()
    assert np.abs(found.astype(int) - cut(resized, start, (48, 64), 0)).max() <= 2

    nearest = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    found = render_mask(tf.constant(mask), plan, 255).numpy()
    # Where a centre lies exactly between two pixels, Pillow's sum of fractions may fall short.
    rows, columns = (
        (2 * (start[a] + np.arange(side)) + 1) * source[a] % (2 * plan.part_hw[a].numpy()) == 0
        for a, side in enumerate((48, 64))
    )
    clear = ~(rows[:, np.newaxis] | columns)
    assert clear.mean() > 0.8
    expected = cut(nearest, start, (48, 64), 255)
    np.testing.assert_array_equal(found[clear], expected[clear])


def test_a_small_photo_stands_in_the_middle():
    """EdgeNets pads both sides by int((1 + crop - side) / 2): 5 missing rows are 3 above, 3 below,
    of which the window shows 5."""
    source, window = tf.constant([11, 40]), tf.constant([16, 20])
    starts = {
        tuple(
            place_scale_crop(tf.constant([0.5, y, 0.0]), source, window, (1.0, 1.0))
            .part_yx.numpy()
            .tolist()
        )
        for y in np.linspace(0, 0.99, 20, dtype=np.float32)
    }
    assert starts == {(3, 0), (2, 0)}


def test_scale_is_uniform_in_the_logarithm_and_windows_reach_both_ends():
    source, window = tf.constant([100, 100]), tf.constant([50, 50])
    scaled, starts = [], []
    for number in range(300):
        plan = draw_scale_crop(tf.constant([0, number]), source, window, (0.5, 2.0))
        scaled.append(int(plan.part_hw[0]))
        starts.append(-int(plan.part_yx[1]) / max(1, int(plan.part_hw[1]) - 50))
    assert 50 <= min(scaled) and max(scaled) <= 200
    assert np.mean(np.array(scaled) < 100) == pytest.approx(0.5, abs=0.08)
    assert min(starts) < 0.05 and max(starts) > 0.95
