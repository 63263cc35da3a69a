"""Maps coloured masks to classes, even where anti-aliasing has mixed the colours at edges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.data.masks.pairs import (
    LABELS_NOT_COLORS,
    UNKNOWN_COLOR,
    DrawnMask,
    SpoiltPair,
)

# Halfway from black to a full colour: covers every colour on an edge between two such.
TOLERANCE = 128
NEAREST = "mask pixels between the palette's colours, given the class of the nearest"
# A colour this close to one of the palette is noise, wherever it is.
_NOISE = 16
# Edges are thin: more mixed pixels come from a photo, or from colours missing in the palette.
_LARGEST_SHARE = 0.25
_COLORS_AT_ONCE = 1 << 16
# Shades that noise makes of one colour are closer together than the colours of two classes.
_SHADES = 8
# Largest distance of a mixed colour from the line between two palette colours; and the number of
# pixels of such a colour, some of them neighbours, from which it is not noise or a corner.
_OFF_LINE = 48
_LEAST_DRAWN = 3
_LINES_AT_ONCE = 1 << 20
_NO_CLASS = 255
_NEIGHBOURS = (
    (np.s_[1:], np.s_[:-1]),
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[1:, 1:], np.s_[:-1, :-1]),
    (np.s_[1:, :-1], np.s_[:-1, 1:]),
)


def classes_of_colors(
    rgb: np.ndarray, colors: Mapping[tuple[int, int, int], int], tolerance: int, path: str
) -> DrawnMask:
    """Returns the class of each pixel: that of its colour, or of the nearest one.

    Args:
        rgb: uint8 [h, w, 3].
        colors: RGB -> class.
        tolerance: Largest difference from the nearest colour, in each of R, G and B.
        path: Name of the mask in errors.

    Raises:
        SpoiltPair: A colour is farther away or fills areas instead of edges, or there are too many.
    """
    palette = np.array(list(colors), np.int32)
    packed, known = _packed(rgb), _packed(palette)
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known[order], packed), len(known) - 1)]
    strange = known[place] != packed
    if not strange.any():
        return DrawnMask(_values(colors)[place])
    _refuse_labels(rgb, _values(colors), path)
    found, which = np.unique(packed[strange], return_inverse=True)
    nearest, distances = _nearest(_unpacked(found), palette)
    place[strange] = nearest[which]
    distance = np.zeros(packed.shape, np.int32)
    distance[strange] = distances[which]
    mixed = distance > _NOISE
    too_far = distance > tolerance
    areas = _areas(packed)
    wrong = too_far if too_far.any() else areas & mixed
    is_share = mixed.mean() <= _LARGEST_SHARE
    if not wrong.any() and is_share:
        wrong = _second_shades(packed, areas & ~mixed, place, known)
    if not wrong.any() and is_share and tolerance <= TOLERANCE:
        wrong = _drawn_off_lines(packed, mixed, palette)
    if not wrong.any() and is_share:
        return DrawnMask(_values(colors)[place], {NEAREST: int(strange.sum())})
    if not wrong.any():
        raise SpoiltPair(
            f"{path} has colours between the palette's in {mixed.mean():.0%} of its pixels, more "
            "than edges can explain: is it a mask, and does the palette have all of its colours?",
            UNKNOWN_COLOR,
        )
    row, column = np.argwhere(wrong)[0]
    color = " ".join(str(value) for value in rgb[row, column])
    if not too_far.any() and (areas & wrong).any():
        advice = "as a colour that fills areas is not an edge between others"
    else:
        reach = max(int(distance.max()), 0 if too_far.any() else TOLERANCE + 1)
        advice = f"or raise `palette_tolerance` to {reach} to give all such pixels the nearest"
        advice = f"{advice} class"
        if not too_far.any():
            advice = f"as its lines are not edges between colours of the palette, {advice}"
    raise SpoiltPair(
        f"{path} has the colour {color} (row {row}, column {column}; {wrong.sum():,} of its "
        f"{wrong.size:,} pixels), which the palette lacks: add it, named ignored if "
        f"it is not a class, {advice}.",
        UNKNOWN_COLOR,
    )


def _refuse_labels(rgb: np.ndarray, classes: np.ndarray, path: str) -> None:
    """Refuses class numbers, which would look like black: they are not shades of it."""
    highest = int(rgb.max())
    if not 0 < highest <= classes[classes != _NO_CLASS].max(initial=0):
        return
    if (rgb == rgb[..., :1]).all():
        values = ", ".join(map(str, np.unique(rgb)))
        raise SpoiltPair(
            f"{path} has the values {values}, which are class numbers, not colours of the "
            f"palette: convert masks of numbers without `palette`, or give it lines such as "
            f"{highest} {highest} {highest} name for them.",
            LABELS_NOT_COLORS,
        )


def _second_shades(
    packed: np.ndarray, areas: np.ndarray, place: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Finds shades that fill areas beside areas of the palette colour nearest to them.

    A file whose colours are all slightly off has one shade of each; a class that the palette lacks
    is a second one.
    """
    wrong = np.zeros(packed.shape, bool)
    shades, first, counts = np.unique(packed[areas], return_index=True, return_counts=True)
    places = place[areas][first]
    for index in np.flatnonzero(np.bincount(places, minlength=1) > 1):
        of_one = shades[places == index]
        own = known[index]
        usual = own if own in of_one else of_one[counts[places == index].argmax()]
        far = np.abs(_unpacked(of_one) - _unpacked(usual[None])).max(axis=1) > _SHADES
        if far.any():
            wrong |= areas & np.isin(packed, of_one[far])
    return wrong


def _drawn_off_lines(packed: np.ndarray, mixed: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Finds lines drawn in a colour that is no mixture of two palette colours."""
    touching = np.zeros(packed.shape, bool)
    for here, there in _NEIGHBOURS:
        touching[here] |= packed[here] == packed[there]
    found, counts = np.unique(packed[mixed & touching], return_counts=True)
    found = found[counts >= _LEAST_DRAWN]
    found = found[_off_lines(_unpacked(found), palette)]
    return mixed & np.isin(packed, found) if len(found) else np.zeros(packed.shape, bool)


def _off_lines(found: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """For each colour, whether it is far from the lines between all colours of a palette."""
    starts, ends = np.triu_indices(len(palette), 1)
    start = palette[starts].astype(np.float32)
    along = palette[ends].astype(np.float32) - start
    squares = np.maximum((along**2).sum(axis=-1), 1)
    step = max(1, _LINES_AT_ONCE // max(1, len(start)))
    off = np.ones(len(found), bool)
    for at in range(0, len(found) if len(start) else 0, step):
        part = found[at : at + step, None].astype(np.float32) - start
        share = np.clip((part * along).sum(axis=-1) / squares, 0, 1)
        distance = np.abs(part - share[..., None] * along).max(axis=-1)
        off[at : at + step] = distance.min(axis=1) > _OFF_LINE
    return off


def _nearest(found: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each colour, the index of the nearest in the palette, and the distance."""
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
    """Centres of 3 x 3 pixels of one colour."""
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


def _unpacked(colors: np.ndarray) -> np.ndarray:
    return np.stack([colors >> shift & 255 for shift in (16, 8, 0)], axis=-1)


def _packed(pixels: np.ndarray) -> np.ndarray:
    values = pixels.astype(np.int32)
    return values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
