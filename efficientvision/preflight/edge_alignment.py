"""Measures whether boxes lie on edges in the photos, or would if x and y were swapped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from efficientvision.data.picture_files import PILLOW_ERRORS, open_header

_SIDE = 256  # Pixels: size at which photos are examined.
_POINTS = 16  # Samples per side of a box.
_REACH = 2  # Tolerance in pixels between an edge and the side of its box.
_LEAST_BOXES = 30
_LEAST_Z = 5.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Mean strength of edges along boxes, relative to the mean of the photo.

    Attributes:
        boxes: Number of boxes examined.
        as_given: Along the boxes as given.
        swapped: Along the boxes with x and y swapped, the better of the two ways to swap.
        elsewhere: Along the boxes of another photo: the level of chance.
        z: Mean over standard error of `swapped - as_given`, per photo.
    """

    boxes: int
    as_given: float
    swapped: float
    elsewhere: float
    z: float

    @property
    def is_swapped(self) -> bool:
        """True if the boxes are no better than chance and the swapped ones clearly are."""
        gain = self.swapped - self.elsewhere
        return (
            self.boxes >= _LEAST_BOXES
            and self.z > _LEAST_Z
            and self.as_given - self.elsewhere < 0.25 * gain
        )


def swapped_in_photo(boxes_normalized_yxyx: np.ndarray, image_hw: np.ndarray) -> np.ndarray:
    """Boxes with x pixels taken for y and vice versa, normalised again.

    Args:
        boxes_normalized_yxyx: [..., 4].
        image_hw: [..., 2], heights and widths, broadcast against the boxes.
    """
    height, width = np.moveaxis(np.asarray(image_hw, np.float64), -1, 0)
    scale = np.stack([width / height, height / width] * 2, axis=-1)
    return boxes_normalized_yxyx[..., [1, 0, 3, 2]] * scale


def edge_alignment(
    photos: Mapping[int, bytes], boxes_normalized_yxyx: np.ndarray, image_of: np.ndarray
) -> Alignment:
    """Compares the edges in photos with their boxes.

    Across each side of a box, brightness should change. The photos are decoded at a fraction of
    their size.

    Args:
        photos: Index of the photo -> encoded file. Unreadable ones are skipped.
        boxes_normalized_yxyx: [M, 4], in [0, 1] relative to the photo.
        image_of: int [M], photo index of each box.
    """
    rows: list[np.ndarray] = []  # [n, 4]: as given, swapped before and after normalising, other.
    earlier = np.zeros((0, 4))
    for index, encoded in photos.items():
        edges = _edges(encoded)
        boxes = boxes_normalized_yxyx[image_of == index].astype(np.float64)
        boxes = boxes[np.isfinite(boxes).all(axis=-1)]
        if edges is None or not len(boxes):
            continue
        if len(earlier):
            hypotheses = (
                boxes,
                boxes[:, [1, 0, 3, 2]],
                swapped_in_photo(boxes, np.array(edges[0].shape)),
                earlier[np.arange(len(boxes)) % len(earlier)],
            )
            rows.append(np.stack([_strength(*edges, boxes) for boxes in hypotheses], axis=-1))
        earlier = boxes
    values = np.concatenate([np.zeros((0, 4)), *rows])
    if len(rows) < 2:
        return Alignment(len(values), 0.0, 0.0, 0.0, 0.0)
    means = values.mean(axis=0)
    best = 1 + int(means[2] > means[1])
    # Boxes of the same photo are not independent of each other; photos are.
    gains = np.array([photo[:, best].mean() - photo[:, 0].mean() for photo in rows])
    error = gains.std() / math.sqrt(len(gains))
    z = gains.mean() / error if error else 0.0
    as_given, swapped, elsewhere = means[[0, best, 3]].tolist()
    return Alignment(len(values), as_given, swapped, elsewhere, float(z))


def _edges(encoded: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Change of brightness, vertical and horizontal, [h, w] each, relative to the mean."""
    try:
        with open_header(encoded) as image:
            image.draft("L", (_SIDE, _SIDE))
            scale = _SIDE / max(image.size)
            size = [max(4, round(side * scale)) for side in image.size]
            grey = np.asarray(image.convert("L").resize(size), np.float64)
    except PILLOW_ERRORS:
        return None
    down = np.abs(np.gradient(grey, axis=0))
    across = np.abs(np.gradient(grey, axis=1))
    mean = (down.mean() + across.mean()) / 2.0
    return (down / mean, across / mean) if mean else None


def _strength(down: np.ndarray, across: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Strength of the edge beside a box, mean over its four sides, [n]."""
    top_bottom = _along(down, boxes[:, [0, 2]], boxes[:, [1, 3]])
    left_right = _along(across.T, boxes[:, [1, 3]], boxes[:, [0, 2]])
    return (top_bottom + left_right) / 2.0


def _along(edges: np.ndarray, sides: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Strongest edge within reach of two horizontal sides, averaged over points along them.

    Args:
        edges: [h, w].
        sides: [n, 2], rows of the two sides, in [0, 1].
        span: [n, 2], columns where both begin and end, in [0, 1].
    """
    last_row, last_column = np.array(edges.shape) - 1
    along = np.linspace(0.1, 0.9, _POINTS)
    columns = span[:, :1] + (span[:, 1:] - span[:, :1]) * along
    columns = np.clip(np.round(columns * last_column), 0, last_column).astype(int)
    rows = np.round(sides * last_row)[..., None] + np.arange(-_REACH, _REACH + 1)
    rows = np.clip(rows, 0, last_row).astype(int)
    near = edges[rows[..., None], columns[:, None, None, :]]  # [n, 2, reach, points]
    return near.max(axis=2).mean(axis=(1, 2))
