"""Tiles of large photos: where they lie, that they add up to the whole, that no seam shows."""

import numpy as np
import pytest

from efficientvision.tasks.segmentation.tiles import (
    blended_logits,
    fading_window,
    tile_starts,
    tiled_class_map,
)
from tests.filled_detector import textured_photo

TILE, OVERLAP = (48, 64), 16


def by_pixel(tiles):
    """A network that looks at nothing around a pixel: the whole and its tiles are the same."""
    return [np.float32(tile) @ np.float32([[1, 0], [-2, 1], [0.5, -1]]) for tile in tiles]


def whole(run, photo, tile_hw=TILE, overlap=OVERLAP):
    return np.concatenate(list(blended_logits(run, photo, tile_hw, overlap)))


@pytest.mark.parametrize(
    ("length", "tile", "overlap"),
    [(200, 64, 16), (65, 64, 0), (64, 64, 63), (9, 64, 16), (999, 64, 63)],
)
def test_tiles_cover_a_side_and_overlap_enough(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] == max(0, length - tile)
    assert all(0 < b - a <= tile - overlap for a, b in zip(starts, starts[1:], strict=False))
    # One tile less would leave a gap.
    assert len(starts) == 1 or (len(starts) - 2) * (tile - overlap) + tile < length


def test_neighbouring_windows_add_up_to_one():
    window = fading_window(64, 16)
    np.testing.assert_allclose(window[-16:] + window[:16], 1, atol=1e-6)
    assert (window[16:-16] == 1).all() and (fading_window(64, 0) == 1).all()


@pytest.mark.parametrize("hw", [(150, 200), (48, 64), (30, 100), (130, 20), (49, 65)])
@pytest.mark.parametrize("overlap", [0, 16, 47])
def test_without_context_tiles_are_the_whole(hw, overlap):
    photo = textured_photo(*hw)
    expected = by_pixel([photo])[0]
    np.testing.assert_allclose(whole(by_pixel, photo, TILE, overlap), expected, atol=0.05)
    class_map = tiled_class_map(by_pixel, photo, TILE, overlap)
    clear = np.abs(np.diff(expected, axis=-1))[..., 0] > 0.1
    assert class_map.dtype == np.uint8 and clear.mean() > 0.9
    np.testing.assert_array_equal(class_map[clear], expected.argmax(-1)[clear])


def test_tiles_that_disagree_fade_into_one_another():
    """A network that says something else in every tile: no step between neighbouring pixels."""
    count = iter(range(100))

    def run(tiles):
        return [np.full((*TILE, 1), next(count), np.float32) for _ in tiles]

    logits = whole(run, textured_photo(120, 300))[..., 0]
    assert np.ptp(logits) > 5
    # From one tile to the next sin^2 rises by at most pi / 2 / 16 of their difference a pixel.
    assert np.abs(np.diff(logits, axis=1)).max() < 1.2 * np.pi / 2 / OVERLAP
    hard = whole(run, textured_photo(120, 300), TILE, 0)[..., 0]
    assert np.abs(np.diff(hard, axis=1)).max() >= 0.5


def test_a_row_of_tiles_at_a_time():
    """Memory does not grow with the height: nothing is asked for before it is needed."""
    rows = []

    def run(tiles):
        rows.append(len(tiles))
        return by_pixel(tiles)

    parts = blended_logits(run, textured_photo(400, 200), TILE, OVERLAP)
    first = next(parts)
    assert rows == [4] and first.shape == (32, 200, 2)
    assert sum(len(part) for part in parts) == 400 - 32
