"""Large photos by overlapping tiles, whose logits fade into one another.

A network sees one tile at a time, at the photo's own resolution. Where tiles overlap, each counts
the less the nearer its edge is, so that no seam shows. Logits are kept of one row of tiles only:
memory grows with the photo's width, not with its height.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

Size = tuple[int, int]
# uint8 tiles [h, w, 3] of one size -> float32 logits [h, w, C] of each.
Run = Callable[[list[np.ndarray]], list[np.ndarray]]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of the tiles along one side: as few as overlap enough, evenly spread.

    Args:
        length: of the side, pixels; one shorter than a tile has one tile.
        tile: length of a tile.
        overlap: least number of pixels that two neighbours share, 0..tile - 1.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def fading_window(tile: int, overlap: int) -> np.ndarray:
    """float32 [tile]: 1 in the middle, falling to the edges over `overlap` pixels, as sin^2 does.

    Those of two tiles that share just `overlap` pixels add up to 1.
    """
    from_edge = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    share = np.minimum(from_edge / max(overlap, 1), 1.0) if overlap else np.ones(tile)
    return (np.sin(share * np.pi / 2) ** 2).astype(np.float32)


def blended_logits(run: Run, photo: np.ndarray, tile_hw: Size, overlap: int) -> Iterator:
    """Logits of a photo of any size, from the top down.

    Args:
        run: the network, at the tile's size; gets a row of tiles at a time.
        photo: uint8 [H, W, 3]. Where it is smaller than a tile, its mirror image goes on.
        tile_hw: (height, width) of a tile, pixels.
        overlap: least number of pixels that neighbours share, less than either side.

    Yields:
        float32 [rows, W, C], until there are H rows.
    """
    height, width = photo.shape[:2]
    missing = [max(tile - side, 0) for tile, side in zip(tile_hw, (height, width), strict=True)]
    padded = np.pad(photo, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    columns = tile_starts(padded.shape[1], tile_hw[1], overlap)
    tops = tile_starts(padded.shape[0], tile_hw[0], overlap)
    windows = [fading_window(side, overlap) for side in tile_hw]
    window = np.outer(*windows)[..., np.newaxis]
    # The least weights are of the order of 1e-9: float32 holds the quotient all the same.
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
    """The likeliest class of each pixel, uint8 [H, W]; see `blended_logits`."""
    parts = blended_logits(run, photo, tile_hw, overlap)
    return np.concatenate([logits.argmax(axis=-1).astype(np.uint8) for logits in parts])
