"""Differences between two sets of detections."""

import numpy as np
import pytest

from efficientvision.tasks.detection.agreement import compare, together


def rows(*detections):
    """Rows [n, 7] of (ymin, xmin, ymax, xmax, score, class)."""
    return np.float32([(0, *d) for d in detections]).reshape(-1, 7)


A = (0, 0, 100, 100, 0.9, 1)
B = (200, 200, 300, 300, 0.5, 2)


def test_the_same_detections_in_another_order():
    found = compare(rows(A, B), rows(B, A), 0.3)
    assert found == (0.0, 0.0, 2, 0, 0)


def test_largest_differences():
    moved = (0, 2, 100, 101, 0.85, 1)
    found = compare(rows(A, B), rows(moved, B), 0.3)
    assert found.box == 2.0
    assert found.score == pytest.approx(0.05)
    assert found.unmatched == found.displaced == 0


def test_boxes_beyond_the_tolerance_are_counted():
    moved = [(0, 2, 100, 101, 0.85, 1), (200, 201, 300, 300, 0.5, 2)]
    found = compare(rows(A, B), rows(*moved), 0.3, box_tolerance=1.5)
    assert (found.box, found.unmatched, found.displaced) == (2.0, 0, 1)
    assert together([found, found]).displaced == 2


@pytest.mark.parametrize(
    "other",
    [(0, 0, 100, 100, 0.9, 2), (0, 40, 100, 140, 0.9, 1)],
    ids=["another class", "another place"],
)
def test_another_object_counts_on_both_sides(other):
    assert compare(rows(A), rows(other), 0.3).unmatched == 2


def test_a_missing_and_an_added_detection():
    assert compare(rows(A, B), rows(A), 0.3).unmatched == 1
    assert compare(rows(A), rows(A, B), 0.3).unmatched == 1
    assert compare(rows(A), rows(), 0.3) == (0.0, 0.0, 1, 1, 0)


def test_a_score_on_either_side_of_the_threshold_is_no_other_object():
    weak = (*B[:4], 0.29, 2)
    found = compare(rows(A, (*B[:4], 0.31, 2)), rows(A, weak), 0.3)
    assert found.unmatched == 0
    assert found.score == pytest.approx(0.02, abs=1e-6)


def test_the_closest_pair_is_taken():
    near = (0, 1, 100, 101, 0.8, 1)
    assert compare(rows(A, near), rows(near, A), 0.3).box == 0.0


def test_together():
    parts = [compare(rows(A), rows(A), 0.3), compare(rows(A, B), rows(A), 0.3)]
    assert together(parts) == (0.0, 0.0, 3, 1, 0)
