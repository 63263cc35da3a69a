"""The worst mistakes of a detector: missed, invented and confused objects."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.confusion import Outcomes
from efficientvision.evaluation.object_matching import Collected, overlap_matrix

CONFUSED, INVENTED, MISSED = "confused", "invented", "missed"
# Others follow only if there are not enough mistakes on other images.
_MOST_PER_IMAGE = 3


class ObjectMistake(NamedTuple):
    """A mistake about one object.

    Attributes:
        kind: `CONFUSED` (found, but as another class), `INVENTED` (a detection where no free object
            is) or `MISSED` (an object without a detection).
        image: Number of the image.
        truth: Row of the object; of an invented one, of the object that it overlaps most; -1: none.
        detection: Row of the detection; of a missed object, of the detection with any score that
            overlaps it most; -1: none.
        iou: IoU of the two, 0 if either is -1.
    """

    kind: str
    image: int
    truth: int
    detection: int
    iou: float


def worst_mistakes(collected: Collected, outcome: Outcomes, limit: int) -> list[ObjectMistake]:
    """Selects the worst mistakes of each kind, in turn.

    The worst confused and invented objects are those with the highest scores, the worst missed
    ones are the largest. Images with many mistakes take at most three places, as long as
    others have any.

    Returns:
        At most `limit` mistakes.
    """
    truths, detections = collected.truths, collected.detections
    found = outcome.considered & (outcome.truth_of >= 0)
    found_class = truths[outcome.truth_of, 6] if len(truths) else np.zeros(len(detections))
    scores = detections[:, 5]
    confused = _sorted(np.flatnonzero(found & (found_class != detections[:, 6])), -scores)
    invented = _sorted(np.flatnonzero(outcome.considered & (outcome.truth_of < 0)), -scores)
    missed = _sorted(np.flatnonzero(outcome.missed), -truths[:, 3] * truths[:, 4])
    ranked = [
        [(CONFUSED, row, int(detections[row, 0])) for row in confused],
        [(INVENTED, row, int(detections[row, 0])) for row in invented],
        [(MISSED, row, int(truths[row, 0])) for row in missed],
    ]
    in_turn = [one for group in itertools.zip_longest(*ranked) for one in group if one]
    counts: Counter[int] = Counter()
    first: list[tuple[str, int, int]] = []
    later: list[tuple[str, int, int]] = []
    for one in in_turn:
        counts[one[2]] += 1
        (first if counts[one[2]] <= _MOST_PER_IMAGE else later).append(one)
    return [_completed(collected, outcome, *one) for one in [*first, *later][:limit]]


def _sorted(rows: np.ndarray, key: np.ndarray) -> Sequence[int]:
    return rows[np.argsort(key[rows], kind="stable")].tolist()


def _completed(
    collected: Collected, outcome: Outcomes, kind: str, row: int, image: int
) -> ObjectMistake:
    """Adds the other side of a mistake: of an invented object the truth beside it, and so on."""
    if kind == MISSED:
        others = np.flatnonzero(collected.detections[:, 0] == image)
        overlaps = overlap_matrix(collected.detections[others], collected.truths[[row]])[:, 0]
    else:
        others = np.flatnonzero((collected.truths[:, 0] == image) & (collected.truths[:, 5] == 0))
        if kind == CONFUSED:
            others = outcome.truth_of[[row]]
        overlaps = overlap_matrix(collected.detections[[row]], collected.truths[others])[0]
    best = int(np.argmax(overlaps)) if len(others) else -1
    iou = float(overlaps[best]) if best >= 0 else 0.0
    other = int(others[best]) if iou > 0 else -1
    truth, detection = (row, other) if kind == MISSED else (other, row)
    return ObjectMistake(kind, image, truth, detection, iou)
