"""Matches detections to objects: COCO's greedy matching at a single IoU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from efficientvision.data import boxes as box_ops

MAX_DETECTIONS = 100
_ROUNDING = 1e-10  # As in pycocotools: an IoU of exactly the limit counts.


class Collected(NamedTuple):
    """Detections and ground truth of a data set, in photo pixels.

    Attributes:
        categories: Class number -> name, ascending.
        num_images: Number of images evaluated; they are numbered 1..num_images.
        truths: float64 [M, 7]: image, x, y, width, height, 1 for a crowd, class.
        detections: float64 [N, 7]: image, x, y, width, height, score, class.
        difficult: bool [M]: objects marked difficult, which PASCAL VOC's metrics ignore; None if
            there are no such marks.
    """

    categories: Mapping[int, str]
    num_images: int
    truths: np.ndarray
    detections: np.ndarray
    difficult: np.ndarray | None = None


class Matches(NamedTuple):
    """Result of matching detections to objects.

    Attributes:
        truth_of: int [N]: row of the object matched by each detection; -1 for none.
        ignored: bool [N]: detections that count neither as true nor as false positives: those on a
            crowd, and those beyond the first 100 of their class in an image.
        detection_of: int [M]: row of the detection matched to each object; -1 for none.
    """

    truth_of: np.ndarray
    ignored: np.ndarray
    detection_of: np.ndarray


def match_objects(collected: Collected, iou: float = 0.5) -> Matches:
    """Matches detections to objects of the same class like COCO; see `match_objects_at`."""
    return match_objects_at(collected, [iou])[0]


def match_objects_at(collected: Collected, ious: Sequence[float] | np.ndarray) -> list[Matches]:
    """Matches detections to objects of the same class like COCO, at several IoUs.

    In each image the detections are processed best score first; each takes the free object of its
    class that it overlaps most, if by at least the IoU. Detections without an object may match a
    crowd, which can be matched any number of times; the overlap with a crowd is the share of the
    detection inside it.

    Time grows with the number of detections and overlapping pairs in total, memory with those of
    one image.

    Args:
        collected: Detections and ground truth.
        ious: Ascending.

    Returns:
        The matches at each of `ious`.
    """
    limits = np.asarray(ious) - _ROUNDING
    each = np.arange(len(limits))
    truth_of = np.full((len(limits), len(collected.detections)), -1)
    detection_of = np.full((len(limits), len(collected.truths)), -1)
    ignored = np.tile(_beyond_limit(collected.detections), (len(limits), 1))
    for rows, truth_rows in rows_by_image(collected):
        found, truths = collected.detections[rows], collected.truths[truth_rows]
        overlaps = overlap_matrix(found, truths)
        overlaps[found[:, 6, None] != truths[None, :, 6]] = 0.0
        overlaps[ignored[0, rows]] = 0.0
        crowd = truths[:, 5] > 0
        free = np.tile(~crowd, (len(limits), 1))
        order = np.argsort(-found[:, 5], kind="stable")
        for i in order[(overlaps[order] >= limits[0]).any(axis=1)]:
            open_overlaps = np.where(free, overlaps[i], 0.0)
            best = open_overlaps.argmax(axis=1)
            takes = open_overlaps[each, best] >= limits
            taken = best[takes]
            free[takes, taken] = False
            truth_of[takes, rows[i]] = truth_rows[taken]
            detection_of[takes, truth_rows[taken]] = rows[i]
            if crowd.any():
                ignored[~takes & (overlaps[i][crowd].max() >= limits), rows[i]] = True
    return [Matches(*parts) for parts in zip(truth_of, ignored, detection_of, strict=True)]


def overlap_matrix(detections: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """IoU float64 [n, m] of rows of `Collected`; for crowds, the share of the detection inside."""
    found, objects = corners_yxyx(detections)[:, None], corners_yxyx(truths)[None]
    intersection, union = box_ops.intersection_and_union(found, objects, xp=np)
    whole = np.where(truths[None, :, 5] > 0, box_ops.area(found, xp=np), union)
    return box_ops.divide_or_zero(intersection, whole, xp=np)


def rows_by_image(collected: Collected) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the rows of detections and of objects for each image that has both."""
    objects = _rows_of(collected.truths[:, 0])
    for image, rows in _rows_of(collected.detections[:, 0]).items():
        if image in objects:
            yield rows, objects[image]


def _rows_of(images: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(images, kind="stable")
    numbers, starts = np.unique(images[order], return_index=True)
    return dict(zip(numbers.astype(int).tolist(), np.split(order, starts[1:]), strict=False))


def corners_yxyx(rows: np.ndarray) -> np.ndarray:
    """Converts rows of `Collected` to boxes float64 [n, 4]."""
    x, y, width, height = rows[:, 1:5].T
    return np.stack([y, x, y + height, x + width], axis=-1)


def _beyond_limit(detections: np.ndarray) -> np.ndarray:
    """bool [N]: detections beyond the `MAX_DETECTIONS` best of their class in an image."""
    order = np.lexsort((-detections[:, 5], detections[:, 6], detections[:, 0]))
    groups = detections[order][:, (0, 6)]
    first = np.ones(len(order), bool)
    first[1:] = (groups[1:] != groups[:-1]).any(axis=1)
    positions = np.arange(len(order))
    rank = positions - np.maximum.accumulate(np.where(first, positions, 0))
    beyond = np.zeros(len(order), bool)
    beyond[order] = rank >= MAX_DETECTIONS
    return beyond
