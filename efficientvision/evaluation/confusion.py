"""The confusion matrix of a detector."""

from __future__ import annotations

import numpy as np

from efficientvision.evaluation.object_matching import (
    Collected,
    Matches,
    overlap_matrix,
    rows_by_image,
)


def confusion_matrix(
    collected: Collected, matches: Matches, threshold: float, iou: float = 0.5
) -> np.ndarray:
    """Counts objects by their class and by the class they were detected as.

    Only detections with a score of at least `threshold` count. Those that match an object of their
    own class (`matches`) are on the diagonal. The others, best score first, take the remaining
    object of any class that they overlap most, if by at least `iou`. Objects left over were missed
    (last column); detections left over match nothing (last row).

    Returns:
        int64 [K + 1, K + 1], rows: truth, columns: detection, classes ascending; the last
        row and column are the background. Crowds, and detections on them, do not count.
    """
    classes = np.array(list(collected.categories))
    background = len(classes)
    matrix = np.zeros((background + 1, background + 1), np.int64)
    considered = (collected.detections[:, 5] >= threshold) & ~matches.ignored
    found_class = np.searchsorted(classes, collected.detections[:, 6])
    true_class = np.searchsorted(classes, collected.truths[:, 6])
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
    found = considered & (truth_of >= 0)
    np.add.at(matrix, (true_class[truth_of[found]], found_class[found]), 1)
    np.add.at(matrix[background], found_class[considered & (truth_of < 0)], 1)
    np.add.at(matrix[:, background], true_class[~taken], 1)
    return matrix
