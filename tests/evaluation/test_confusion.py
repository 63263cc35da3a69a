"""The confusion matrix against a loop over every pair, and on a case counted by hand."""

import numpy as np
import pytest

from efficientvision.evaluation.confusion import confusion_matrix, outcomes
from efficientvision.evaluation.object_matching import Collected, match_objects
from tests.evaluation.made_detections import NAMES, made_collection, overlap


def _by_loops(collected, matches, threshold, iou=0.5):
    index = {category: i for i, category in enumerate(NAMES)}
    background = len(NAMES)
    matrix = [[0] * (background + 1) for _ in range(background + 1)]
    found = {
        d: matches.truth_of[d]
        for d, row in enumerate(collected.detections)
        if row[5] >= threshold and not matches.ignored[d]
    }
    taken = {t for t in found.values() if t >= 0}
    wrong = [d for d, t in found.items() if t < 0]
    for d in sorted(wrong, key=lambda d: -collected.detections[d][5]):
        best, best_overlap = None, iou
        for t, truth in enumerate(collected.truths):
            if truth[0] == collected.detections[d][0] and t not in taken and not truth[5]:
                value = overlap(collected.detections[d], truth)
                if value > best_overlap or (best is None and value == best_overlap):
                    best, best_overlap = t, value
        if best is not None:
            found[d] = best
            taken.add(best)
    for d, t in found.items():
        column = index[int(collected.detections[d][6])]
        matrix[index[int(collected.truths[t][6])] if t >= 0 else background][column] += 1
    for t, truth in enumerate(collected.truths):
        if t not in taken and not truth[5]:
            matrix[index[int(truth[6])]][background] += 1
    return matrix


@pytest.mark.parametrize("threshold", [0.05, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_every_pair_tried_gives_the_same(seed, threshold):
    collected = made_collection(seed)
    matches = match_objects(collected)
    matrix = confusion_matrix(collected, outcomes(collected, matches, threshold))
    assert matrix.tolist() == _by_loops(collected, matches, threshold)
    for column, category in enumerate(NAMES):
        objects = (collected.truths[:, 6] == category) & (collected.truths[:, 5] == 0)
        assert matrix[column].sum() == objects.sum()
        right = (matches.truth_of >= 0) & (collected.detections[:, 6] == category)
        assert matrix[column, column] == (right & (collected.detections[:, 5] >= threshold)).sum()


def test_counted_by_hand():
    box, away = [0, 0, 10, 10], [50, 50, 10, 10]
    truths = [
        [1, *box, 0, 1],  # Found as a cat and, once more, as a dog.
        [1, *away, 0, 2],  # Taken for a cow.
        [2, *box, 0, 4],  # Missed: the detection there is too unsure.
        [2, *away, 1, 1],  # A crowd.
    ]
    detections = [
        [1, *box, 0.9, 1],
        [1, *box, 0.95, 2],
        [1, *away, 0.8, 4],
        [2, *box, 0.2, 4],
        [2, *away, 0.9, 1],
        [3, *box, 0.7, 7],  # An image without objects.
    ]
    collected = Collected(NAMES, 3, np.array(truths, float), np.array(detections, float))
    matrix = confusion_matrix(collected, outcomes(collected, match_objects(collected), 0.5))
    expected = np.zeros((5, 5), int)
    expected[0, 0] = 1  # cat as cat
    expected[1, 2] = 1  # dog as cow
    expected[2, 4] = 1  # cow missed
    expected[4, 1] = 1  # the second one on the cat
    expected[4, 3] = 1
    assert matrix.tolist() == expected.tolist()
