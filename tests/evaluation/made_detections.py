"""Made detections of many kinds: hits, near misses, doubles, other classes, crowds."""

import numpy as np

from efficientvision.evaluation.object_matching import Collected

NAMES = {1: "cat", 2: "dog", 4: "cow", 7: "none of these"}
_CLASSES = [1, 2, 4]


def made_collection(seed: int, images: int = 25) -> Collected:
    """Objects of three of the four classes; detections around them, and elsewhere.

    Scores are rounded to hundredths, so that many are equal.
    """
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, 7)):
            box = [*rng.uniform(0, 80, 2), *rng.uniform(10, 50, 2)]
            category = int(rng.choice(_CLASSES))
            crowd = float(rng.random() < 0.15)
            truths.append([image, *box, crowd, category])
            for _ in range(rng.integers(0, 4)):
                moved = np.array(box) + rng.normal(0, 4, 4)
                seen_as = category if rng.random() < 0.7 else int(rng.choice(list(NAMES)))
                detections.append([image, *moved, rng.random(), seen_as])
        for _ in range(rng.integers(0, 4)):
            box = [*rng.uniform(0, 80, 2), *rng.uniform(5, 50, 2)]
            detections.append([image, *box, rng.random() / 2, int(rng.choice(list(NAMES)))])
    found = np.array(detections)
    found[:, 5] = np.round(found[:, 5], 2)
    return Collected(NAMES, images, np.array(truths), found)


def overlap(found, truth) -> float:
    """IoU of two rows, by hand; with a crowd the share of the detection inside."""
    _, x1, y1, w1, h1 = found[:5]
    _, x2, y2, w2, h2, crowd = truth[:6]
    width = min(x1 + w1, x2 + w2) - max(x1, x2)
    height = min(y1 + h1, y2 + h2) - max(y1, y2)
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    return inside / (w1 * h1 if crowd else w1 * h1 + w2 * h2 - inside)
