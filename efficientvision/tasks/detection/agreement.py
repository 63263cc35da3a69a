"""Compares the detections of an export with those of the original network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.data import boxes as box_ops

_SAME_OBJECT_IOU = 0.9


class Agreement(NamedTuple):
    """Differences between network and export over some photos.

    Attributes:
        box: largest difference of a coordinate among matched detections, in pixels.
        score: largest difference of a score among matched detections.
        detections: number of detections of the network.
        unmatched: number of detections that only one side has.
        displaced: number of matched detections beyond the box tolerance. If two anchors with
            nearly equal scores detect an object, rounding decides which one NMS keeps.
    """

    box: float
    score: float
    detections: int
    unmatched: int
    displaced: int


def compare(
    expected: np.ndarray, exported: np.ndarray, min_score: float, box_tolerance: float = np.inf
) -> Agreement:
    """Compares the detections in one photo.

    Detections match if their classes agree and their IoU is at least 0.9, closest pairs first. The
    match of a detection above `min_score` may itself be below it.

    Args:
        expected: float32 [n, 7], the network's rows in the format of `to_rows`.
        exported: float32 [m, 7], the export's rows.
        min_score: detections with at least this score need a match on the other side.
        box_tolerance: in pixels; see `Agreement.displaced`.
    """
    expected, exported = (rows[rows[:, 5] > 0] for rows in (expected, exported))
    in_network, in_export = (int((rows[:, 5] >= min_score).sum()) for rows in (expected, exported))
    overlaps = box_ops.iou(expected[:, None, 1:5], exported[None, :, 1:5], xp=np)
    overlaps *= expected[:, None, 6] == exported[None, :, 6]
    pairs = _closest_pairs(overlaps)
    strong = [(a, b) for a, b in pairs if max(expected[a, 5], exported[b, 5]) >= min_score]
    first, second = np.array(strong, int).reshape(-1, 2).T
    seen = sum(expected[a, 5] >= min_score for a, _ in strong)
    seen_by_other = sum(exported[b, 5] >= min_score for _, b in strong)
    shifts = np.abs(expected[first, 1:5] - exported[second, 1:5]).max(axis=1, initial=0.0)
    return Agreement(
        box=float(shifts.max(initial=0.0)),
        score=float(np.abs(expected[first, 5] - exported[second, 5]).max(initial=0.0)),
        detections=in_network,
        unmatched=int(in_network - seen + in_export - seen_by_other),
        displaced=int((shifts > box_tolerance).sum()),
    )


def together(parts: list[Agreement]) -> Agreement:
    """Combines the agreements of several photos."""
    return Agreement(
        box=max(part.box for part in parts),
        score=max(part.score for part in parts),
        detections=sum(part.detections for part in parts),
        unmatched=sum(part.unmatched for part in parts),
        displaced=sum(part.displaced for part in parts),
    )


def _closest_pairs(overlaps: np.ndarray) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) of an IoU matrix, largest first."""
    rows, columns = np.nonzero(overlaps >= _SAME_OBJECT_IOU)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    taken_rows, taken_columns, pairs = set(), set(), []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    return pairs
