"""The confusion matrix of a detector, and the fate of each object and detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.object_matching import (
    Collected,
    Matches,
    overlap_matrix,
    rows_by_image,
)


class Outcomes(NamedTuple):
    """The fate of each object and detection at a score threshold.

    Attributes:
        considered: bool [N]: detections that count: with a score of at least the threshold, and not
            on a crowd.
        truth_of: int [N]: row of the object, of any class, that each of them found; -1 for none.
        missed: bool [M]: objects that none of them found, without crowds.
    """

    considered: np.ndarray
    truth_of: np.ndarray
    missed: np.ndarray


def outcomes(
    collected: Collected, matches: Matches, threshold: float, iou: float = 0.5
) -> Outcomes:
    """Assigns detections to objects of any class.

    Only detections with a score of at least `threshold` count. Those that match an object of their
    own class (`matches`) have found it. The others, best score first, take the remaining object of
    any class that they overlap most, if by at least `iou`.
    """
    considered = (collected.detections[:, 5] >= threshold) & ~matches.ignored
    truth_of = np.where(considered, matches.truth_of, -1)
    taken = np.zeros(len(collected.truths), bool)
    taken[truth_of[truth_of >= 0]] = True
    taken |= collected.truths[:, 5] > 0
    for rows, truth_rows in rows_by_image(collected):
        left = rows[considered[rows] & (truth_of[rows] < 0)]
        free = truth_rows[~taken[truth_rows]]
        if not len(left) or not len(free):
            continue
        left = left[np.argsort(-collected.detections[left, 5], kind="stable")]
        overlaps = overlap_matrix(collected.detections[left], collected.truths[free])
        for i in range(len(left)):
            best = int(np.argmax(overlaps[i]))
            if overlaps[i, best] >= iou:
                truth_of[left[i]] = free[best]
                taken[free[best]] = True
                overlaps[:, best] = 0.0
    return Outcomes(considered, truth_of, ~taken)


def confusion_matrix(collected: Collected, outcome: Outcomes) -> np.ndarray:
    """Counts objects by their class and by the class they were detected as.

    Returns:
        int64 [K + 1, K + 1], rows: truth, columns: detection, classes ascending; the last
        row and column are the background: missed objects are in the last column, detections that
        match nothing in the last row. Crowds, and detections on them, do not count.
    """
    classes = np.array(list(collected.categories))
    background = len(classes)
    matrix = np.zeros((background + 1, background + 1), np.int64)
    found_class = np.searchsorted(classes, collected.detections[:, 6])
    true_class = np.searchsorted(classes, collected.truths[:, 6])
    considered, truth_of, missed = outcome
    found = considered & (truth_of >= 0)
    np.add.at(matrix, (true_class[truth_of[found]], found_class[found]), 1)
    np.add.at(matrix[background], found_class[considered & (truth_of < 0)], 1)
    np.add.at(matrix[:, background], true_class[missed], 1)
    return matrix
