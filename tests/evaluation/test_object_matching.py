"""The matching against a loop over every pair, written without numpy's help."""

import numpy as np
import pytest

from efficientvision.evaluation.object_matching import Collected, match_objects
from tests.evaluation.made_detections import NAMES, made_collection, overlap


def _by_loops(collected, iou):
    """(truth_of, ignored), one detection and one object at a time."""
    truth_of = [-1] * len(collected.detections)
    ignored = [False] * len(collected.detections)
    taken = set()
    for d in sorted(range(len(truth_of)), key=lambda d: -collected.detections[d][5]):
        found = collected.detections[d]
        best, best_overlap, on_crowd = None, iou, False
        for t, truth in enumerate(collected.truths):
            if truth[0] != found[0] or truth[6] != found[6]:
                continue
            value = overlap(found, truth)
            if truth[5]:
                on_crowd = on_crowd or value >= iou
            elif t not in taken and value >= best_overlap:
                best, best_overlap = t, value
        if best is not None:
            truth_of[d] = best
            taken.add(best)
        else:
            ignored[d] = on_crowd
    return truth_of, ignored


@pytest.mark.parametrize("iou", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(3))
def test_every_pair_tried_gives_the_same(seed, iou):
    collected = made_collection(seed)
    matches = match_objects(collected, iou)
    truth_of, ignored = _by_loops(collected, iou)
    assert matches.truth_of.tolist() == truth_of
    assert matches.ignored.tolist() == ignored
    assert sum(ignored) > 0 and sum(t >= 0 for t in truth_of) >= 5
    for row, truth in enumerate(matches.truth_of):
        if truth >= 0:
            assert matches.detection_of[truth] == row


def test_an_iou_of_exactly_the_limit_counts():
    truths = np.array([[1, 0, 0, 10, 10, 0, 1]], float)
    half = np.array([[1, 0, 0, 10, 5, 0.9, 1]], float)  # 50 of 100 square pixels
    assert match_objects(Collected(NAMES, 1, truths, half), 0.5).truth_of[0] == 0
    assert match_objects(Collected(NAMES, 1, truths, half), 0.51).truth_of[0] == -1


def test_only_the_hundred_best_of_a_class_and_image_count():
    truths = np.array([[1, 0, 0, 10, 10, 0, 1]], float)
    scores = np.linspace(0.9, 0.1, 101)
    many = np.array([[1, 50, 50, 10, 10, score, 1] for score in scores])
    many[-1, 1:5] = truths[0, 1:5]  # The only right one is the 101st.
    matches = match_objects(Collected(NAMES, 1, truths, many))
    assert matches.truth_of.max() == -1
    assert np.flatnonzero(matches.ignored).tolist() == [100]
    many[0, 6] = 2  # One of another class makes room.
    assert match_objects(Collected(NAMES, 1, truths, many)).truth_of[100] == 0


@pytest.mark.parametrize("part", ["truths", "detections"])
def test_nothing_to_match(part):
    collected = made_collection(0)._replace(**{part: np.zeros((0, 7))})
    matches = match_objects(collected)
    assert (matches.truth_of == -1).all() and (matches.detection_of == -1).all()
