"""Masks in colours -> classes, where anti-aliasing has mixed the colours at the edges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.data.masks.pairs import UNKNOWN_COLOR, DrawnMask, SpoiltPair

# Halfway from black to a full colour: all that lies on an edge between two such.
TOLERANCE = 128
NEAREST = "mask pixels between the palette's colours, given the class of the nearest"
# A colour so near to one of the palette is noise, wherever it is.
_NOISE = 16
# Edges are thin: more mixed pixels are those of a photo, or of other colours than the palette's.
_LARGEST_SHARE = 0.25
_COLORS_AT_ONCE = 1 << 16


def classes_of_colors(
    rgb: np.ndarray, colors: Mapping[tuple[int, int, int], int], tolerance: int, path: str
) -> DrawnMask:
    """The class of each pixel: that of its colour, or of the nearest one.

    Args:
        rgb: uint8 [h, w, 3].
        colors: RGB -> class.
        tolerance: how far a colour may be from the nearest one, in any of R, G and B.
        path: what errors call the mask.

    Raises:
        SpoiltPair: a colour is farther away, fills areas instead of edges, or there are too many.
    """
    palette = np.array(list(colors), np.int32)
    packed, known = _packed(rgb), _packed(palette)
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known[order], packed), len(known) - 1)]
    strange = known[place] != packed
    if not strange.any():
        return DrawnMask(_values(colors)[place])
    found, which = np.unique(packed[strange], return_inverse=True)
    nearest, distances = _nearest(np.stack([found >> s & 255 for s in (16, 8, 0)], -1), palette)
    place[strange] = nearest[which]
    distance = np.zeros(packed.shape, np.int32)
    distance[strange] = distances[which]
    mixed = distance > _NOISE
    too_far = distance > tolerance
    in_areas = _areas(packed) & mixed
    wrong = too_far if too_far.any() else in_areas
    if not wrong.any() and mixed.mean() <= _LARGEST_SHARE:
        return DrawnMask(_values(colors)[place], {NEAREST: int(strange.sum())})
    if not wrong.any():
        raise SpoiltPair(
            f"{path} has colours between the palette's in {mixed.mean():.0%} of its pixels, more "
            "than edges have: is it a mask, and does the palette have all of its colours?",
            UNKNOWN_COLOR,
        )
    row, column = np.argwhere(wrong)[0]
    color = " ".join(str(value) for value in rgb[row, column])
    reach = int(distance.max())
    advice = f"or raise `palette_tolerance` to {reach} to give all such pixels the nearest class"
    if not too_far.any():
        advice = "for a colour that fills areas is no edge of others"
    raise SpoiltPair(
        f"{path} has the colour {color} (row {row}, column {column}; {wrong.sum():,} of its "
        f"{wrong.size:,} pixels are so), which the palette lacks: add it, with the name ignored if "
        f"it is no class, {advice}.",
        UNKNOWN_COLOR,
    )


def _nearest(found: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each colour, the place of the nearest in the palette, and how far that is."""
    places, distances = [], []
    for start in range(0, len(found), _COLORS_AT_ONCE):
        part = found[start : start + _COLORS_AT_ONCE]
        squares = np.zeros((len(part), len(palette)), np.int32)
        for channel in range(3):
            squares += (part[:, channel, None] - palette[None, :, channel]) ** 2
        place = squares.argmin(axis=1)
        places.append(place)
        distances.append(np.abs(part - palette[place]).max(axis=1))
    return np.concatenate(places), np.concatenate(distances)


def _areas(packed: np.ndarray) -> np.ndarray:
    """The middles of 3 x 3 pixels of one colour."""
    inside = np.zeros(packed.shape, bool)
    if min(packed.shape) < 3:
        return inside
    right = packed[:, 1:] == packed[:, :-1]
    below = packed[1:] == packed[:-1]
    rows = right[:, 1:] & right[:, :-1]
    columns = below[1:] & below[:-1]
    inside[1:-1, 1:-1] = rows[:-2] & rows[1:-1] & rows[2:] & columns[:, 1:-1]
    return inside


def _values(colors: Mapping[tuple[int, int, int], int]) -> np.ndarray:
    return np.array(list(colors.values()), np.uint8)


def _packed(pixels: np.ndarray) -> np.ndarray:
    values = pixels.astype(np.int32)
    return values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
