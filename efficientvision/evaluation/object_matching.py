"""Which detection finds which object: the greedy matching of COCO at one IoU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from efficientvision.data import boxes as box_ops

MAX_DETECTIONS = 100
_ROUNDING = 1e-10  # As in pycocotools: an IoU of exactly the limit counts.


class Collected(NamedTuple):
    """Detections and ground truth of a data set, in pixels of the photos.

    Attributes:
        categories: Class number -> name, ascending.
        num_images: Images that were seen; their numbers are 1..num_images.
        truths: float64 [M, 7]: image, x, y, width, height, 1 for a crowd, class.
        detections: float64 [N, 7]: image, x, y, width, height, score, class.
        difficult: bool [M]: objects that PASCAL VOC marks so, which its metrics leave out; None:
            no such marks.
    """

    categories: Mapping[int, str]
    num_images: int
    truths: np.ndarray
    detections: np.ndarray
    difficult: np.ndarray | None = None


class Matches(NamedTuple):
    """What became of every detection and object.

    Attributes:
        truth_of: int [N]: row of the object that a detection finds, -1: none.
        ignored: bool [N]: detections that count neither as right nor as wrong: those on a crowd,
            and those beyond the first 100 of their class on an image.
        detection_of: int [M]: row of the detection that finds an object, -1: none.
    """

    truth_of: np.ndarray
    ignored: np.ndarray
    detection_of: np.ndarray


def match_objects(collected: Collected, iou: float = 0.5) -> Matches:
    """Matches detections to objects of their class as COCO does.

    On each image the detections take turns, best score first; each takes the object of its class
    that it overlaps most, if by at least `iou` and if no better one has it. A crowd can be taken
    any number of times, by what found no object; the overlap with a crowd is the share of the
    detection that lies in it.

    Time grows with the number of detections and overlapping pairs, memory with that of one image.
    """
    truth_of = np.full(len(collected.detections), -1)
    detection_of = np.full(len(collected.truths), -1)
    ignored = _beyond_limit(collected.detections)
    for rows, truth_rows in rows_by_image(collected):
        found, truths = collected.detections[rows], collected.truths[truth_rows]
        overlaps = overlap_matrix(found, truths)
        overlaps[found[:, 6, None] != truths[None, :, 6]] = 0.0
        overlaps[ignored[rows]] = 0.0
        crowd = truths[:, 5] > 0
        free = ~crowd
        limit = iou - _ROUNDING
        order = np.argsort(-found[:, 5], kind="stable")
        for i in order[(overlaps[order] >= limit).any(axis=1)]:
            row = np.where(free, overlaps[i], 0.0)
            best = int(np.argmax(row))
            if row[best] >= limit:
                free[best] = False
                truth_of[rows[i]] = truth_rows[best]
                detection_of[truth_rows[best]] = rows[i]
            elif (overlaps[i][crowd] >= limit).any():
                ignored[rows[i]] = True
    return Matches(truth_of, ignored, detection_of)


def overlap_matrix(detections: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """IoU float64 [n, m] of rows of `Collected`; for crowds the share of the detection inside."""
    found, objects = corners_yxyx(detections)[:, None], corners_yxyx(truths)[None]
    intersection, union = box_ops.intersection_and_union(found, objects, xp=np)
    whole = np.where(truths[None, :, 5] > 0, box_ops.area(found, xp=np), union)
    return box_ops.divide_or_zero(intersection, whole, xp=np)


def rows_by_image(collected: Collected) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the detections and of the objects of each image that has both."""
    objects = _rows_of(collected.truths[:, 0])
    for image, rows in _rows_of(collected.detections[:, 0]).items():
        if image in objects:
            yield rows, objects[image]


def _rows_of(images: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(images, kind="stable")
    numbers, starts = np.unique(images[order], return_index=True)
    return dict(zip(numbers.astype(int).tolist(), np.split(order, starts[1:]), strict=False))


def corners_yxyx(rows: np.ndarray) -> np.ndarray:
    """Boxes float64 [n, 4] of rows of `Collected`."""
    x, y, width, height = rows[:, 1:5].T
    return np.stack([y, x, y + height, x + width], axis=-1)


def _beyond_limit(detections: np.ndarray) -> np.ndarray:
    """bool [N]: detections after the `MAX_DETECTIONS` best of their class on an image."""
    order = np.lexsort((-detections[:, 5], detections[:, 6], detections[:, 0]))
    groups = detections[order][:, (0, 6)]
    first = np.ones(len(order), bool)
    first[1:] = (groups[1:] != groups[:-1]).any(axis=1)
    positions = np.arange(len(order))
    rank = positions - np.maximum.accumulate(np.where(first, positions, 0))
    beyond = np.zeros(len(order), bool)
    beyond[order] = rank >= MAX_DETECTIONS
    return beyond
