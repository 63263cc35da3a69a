"""The worst mistakes, on cases that are plain to see and on made detections."""

from collections import Counter

import numpy as np
import pytest

from efficientvision.evaluation.confusion import confusion_matrix, outcomes
from efficientvision.evaluation.object_matching import Collected, match_objects
from efficientvision.evaluation.object_mistakes import (
    CONFUSED,
    INVENTED,
    MISSED,
    worst_mistakes,
)
from efficientvision.evaluation.worst import Worst
from tests.evaluation.made_detections import NAMES, made_collection

BOX, AWAY, LARGE = [0, 0, 10, 10], [50, 50, 10, 10], [20, 60, 40, 40]


def _worst(truths, detections, limit=20):
    collected = Collected(NAMES, 3, np.array(truths, float), np.array(detections, float))
    collected = collected._replace(
        truths=collected.truths.reshape(-1, 7), detections=collected.detections.reshape(-1, 7)
    )
    outcome = outcomes(collected, match_objects(collected), 0.5)
    return worst_mistakes(collected, outcome, limit)


def test_of_each_kind_the_worst_first():
    truths = [
        [1, *BOX, 0, 1],  # Found.
        [1, *AWAY, 0, 2],  # Taken for a cow.
        [2, *BOX, 0, 4],  # Missed: the detection there is too unsure.
        [2, *LARGE, 0, 4],  # Missed, larger, and nothing is there.
        [2, *AWAY, 1, 1],  # A crowd.
    ]
    detections = [
        [1, *BOX, 0.9, 1],
        [1, *AWAY, 0.8, 4],
        [2, *BOX, 0.2, 4],
        [3, *BOX, 0.7, 7],  # Nothing is there.
        [3, *AWAY, 0.75, 7],
    ]
    found = _worst(truths, detections)
    assert [tuple(mistake) for mistake in found] == [
        (CONFUSED, 1, 1, 1, 1.0),
        (INVENTED, 3, -1, 4, 0.0),
        (MISSED, 2, 3, -1, 0.0),
        (INVENTED, 3, -1, 3, 0.0),
        (MISSED, 2, 2, 2, 1.0),
    ]
    assert found[:2] == _worst(truths, detections, 2)


def test_a_detection_beside_an_object_tells_how_far():
    (invented, missed) = _worst([[1, *BOX, 0, 1]], [[1, 0, 0, 10, 25, 0.9, 1]])
    assert (invented.kind, missed.kind) == (INVENTED, MISSED)
    assert invented.truth == missed.truth == 0 and invented.detection == missed.detection == 0
    assert invented.iou == missed.iou == pytest.approx(0.4)


def test_one_image_does_not_take_all_places():
    crowded = [[1, *BOX, 0.9 - i / 100, 7] for i in range(9)]
    kinds = _worst([], [*crowded, [2, *BOX, 0.6, 7]], 5)
    assert Counter(mistake.image for mistake in kinds) == {1: 4, 2: 1}
    assert kinds[3].image == 2


def test_nothing_at_all():
    assert _worst([], []) == []


@pytest.mark.parametrize("seed", range(3))
def test_as_many_as_the_confusion_matrix_counts(seed):
    collected = made_collection(seed)
    outcome = outcomes(collected, match_objects(collected), 0.3)
    found = worst_mistakes(collected, outcome, 10_000)
    matrix = confusion_matrix(collected, outcome)
    between = matrix[:-1, :-1]
    assert Counter(mistake.kind for mistake in found) == {
        CONFUSED: between.sum() - np.trace(between),
        INVENTED: matrix[-1].sum(),
        MISSED: matrix[:, -1].sum(),
    }


def test_the_worst_of_a_stream():
    worst = Worst(3)
    for number, badness in enumerate([0.1, 0.5, 0.5, 0.2, 0.9, 0.5]):
        if worst.admits(badness):
            worst.add(badness, number)
    assert worst.items() == [4, 1, 2] and not worst.admits(0.5) and worst.admits(0.6)
