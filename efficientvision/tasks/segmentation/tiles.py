"""Runs large photos in overlapping tiles and blends their logits.

A network sees one tile at a time, at the photo's own resolution. Where tiles overlap, their weight
falls towards their edges, so that there are no seams. Only the logits of one row of tiles are kept:
memory grows with the photo's width, not with its height.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

Size = tuple[int, int]
# uint8 tiles [h, w, 3] of equal size -> float32 logits [h, w, C] for each.
Run = Callable[[list[np.ndarray]], list[np.ndarray]]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Returns the first pixels of the tiles along one side: as few as possible, evenly spread.

    Args:
        length: Length of the side in pixels; if shorter than a tile, there is one tile.
        tile: Length of a tile.
        overlap: Minimum overlap of two neighbours in pixels, 0..tile - 1.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def fading_window(tile: int, overlap: int) -> np.ndarray:
    """float32 [tile]: 1 in the middle, falling to the edges over `overlap` pixels as sin^2.

    The windows of two tiles that overlap by exactly `overlap` pixels add up to 1.
    """
    from_edge = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    share = np.minimum(from_edge / max(overlap, 1), 1.0) if overlap else np.ones(tile)
    return (np.sin(share * np.pi / 2) ** 2).astype(np.float32)


def blended_logits(run: Run, photo: np.ndarray, tile_hw: Size, overlap: int) -> Iterator:
    """Yields the logits of a photo of any size from top to bottom.

    Args:
        run: The network at the tile size; called with one row of tiles at a time.
        photo: uint8 [H, W, 3]. If smaller than a tile, it is padded by reflection.
        tile_hw: Tile (height, width) in pixels.
        overlap: Minimum overlap of neighbours in pixels, less than either side.

    Yields:
        float32 [rows, W, C], H rows in total.
    """
    height, width = photo.shape[:2]
    missing = [max(tile - side, 0) for tile, side in zip(tile_hw, (height, width), strict=True)]
    padded = np.pad(photo, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    columns = tile_starts(padded.shape[1], tile_hw[1], overlap)
    tops = tile_starts(padded.shape[0], tile_hw[0], overlap)
    windows = [fading_window(side, overlap) for side in tile_hw]
    window = np.outer(*windows)[..., np.newaxis]
    # The smallest weights are about 1e-9, which float32 can still divide by.
    weight = np.zeros((tile_hw[0], padded.shape[1], 1), np.float32)
    band: np.ndarray | None = None
    for top, following in zip(tops, [*tops[1:], padded.shape[0]], strict=True):
        tiles = [padded[top : top + tile_hw[0], x : x + tile_hw[1]] for x in columns]
        for x, logits in zip(columns, run(tiles), strict=True):
            if band is None:
                band = np.zeros((*weight.shape[:2], logits.shape[-1]), np.float32)
            band[:, x : x + tile_hw[1]] += logits * window
            weight[:, x : x + tile_hw[1]] += window
        finished = following - top
        yield (band[:finished] / weight[:finished])[: height - top, :width]
        for rows in (band, weight):
            rows[:-finished] = rows[finished:].copy()
            rows[-finished:] = 0


def tiled_class_map(run: Run, photo: np.ndarray, tile_hw: Size, overlap: int) -> np.ndarray:
    """Returns the most likely class of each pixel, uint8 [H, W]; see `blended_logits`."""
    parts = blended_logits(run, photo, tile_hw, overlap)
    return np.concatenate([logits.argmax(axis=-1).astype(np.uint8) for logits in parts])
