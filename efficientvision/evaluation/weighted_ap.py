"""COCO's average precision of any selection of the images, from one matching of all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.object_matching import Collected, match_objects_at
from efficientvision.evaluation.precision_recall import RECALLS

IOUS = np.linspace(0.5, 0.95, 10)


class WeightedAp:
    """Average precision with a weight for each image: an image of weight 2 counts twice.

    Detections are matched and sorted once. Precision only has to be known at true positives, of
    which there are few, because it falls from each one to the next; so a selection of images costs
    two cumulative sums, over all detections and over the true positives of all IoUs.

    Args:
        collected: Detections and ground truth.
    """

    def __init__(self, collected: Collected):
        self._num_images = collected.num_images
        classes = np.array(list(collected.categories), np.int64)
        truths = collected.truths[collected.truths[:, 5] == 0]
        self._truth_image = truths[:, 0].astype(np.int64) - 1
        self._truth_class = np.searchsorted(classes, truths[:, 6])
        self._num_classes = len(classes)
        matches = match_objects_at(collected, IOUS)
        found_class = np.searchsorted(classes, collected.detections[:, 6])
        # As COCO sorts: by class, then score; equal scores by image.
        order = np.lexsort((-collected.detections[:, 5], found_class))
        self._image = collected.detections[order, 0].astype(np.int64) - 1
        self._starts = np.searchsorted(found_class[order], np.arange(len(classes) + 1))
        right = np.stack([match.truth_of[order] >= 0 for match in matches])
        ignored = np.stack([match.ignored[order] for match in matches])
        # Segments are pairs (class, IoU), classes first.
        places, iou_of = np.nonzero(right.T)
        segment = found_class[order][places] * len(IOUS) + iou_of
        by_segment = np.argsort(segment, kind="stable")
        self._place, self._segment = places[by_segment], segment[by_segment]
        segments = np.arange(len(classes) * len(IOUS) + 1)
        self._bounds = np.searchsorted(self._segment, segments)
        self._hit_image = self._image[self._place]
        self._first = self._starts[self._segment // len(IOUS)]
        # Detections on crowds, or beyond the limit, count neither way.
        iou_of, places = np.nonzero(ignored)
        self._ignored_image = self._image[places]
        size = len(order) + 1
        ignored_key = iou_of * size + places
        hit_iou = self._segment % len(IOUS)
        self._ignored_before = [
            np.searchsorted(ignored_key, hit_iou * size + place)
            for place in (self._place, self._first)
        ]

    @property
    def items(self) -> int:
        """Number of values that a call handles."""
        grid = self._num_classes * len(IOUS) * len(RECALLS)
        return len(self._image) + len(self._place) + len(self._ignored_image) + grid

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """AP float64 [10, K] at each of `IOUS` for each class; NaN without objects.

        Args:
            weights: int64 [N], how often each image counts.
        """
        objects = np.bincount(
            self._truth_class, weights[self._truth_image], minlength=self._num_classes
        ).astype(np.int64)
        hits = _running(weights[self._hit_image])
        right = hits[1:] - hits[self._bounds[self._segment]]
        every = _running(weights[self._image])
        decided = every[self._place + 1] - every[self._first]
        if len(self._ignored_image):
            ignored = _running(weights[self._ignored_image])
            here, first = self._ignored_before
            decided = decided - (ignored[here] - ignored[first])
        # The best precision there or later in the segment: later segments get lower offsets.
        offset = 2.0 * (len(self._bounds) - self._segment)
        precision = right / np.maximum(decided, 1)
        envelope = np.maximum.accumulate((precision + offset)[::-1])[::-1] - offset
        values = self._at_recalls(right, envelope, np.maximum(objects, 1))
        values[:, objects == 0] = np.nan
        return values

    def _at_recalls(
        self, right: np.ndarray, envelope: np.ndarray, objects: np.ndarray
    ) -> np.ndarray:
        """Mean precision [10, K] over COCO's recalls."""
        # The number of objects to find for a recall, with COCO's rounding of the quotient.
        needed = np.ceil(RECALLS * objects[:, None])
        needed -= (needed >= 1) & ((needed - 1) / objects[:, None] >= RECALLS)
        needed += needed / objects[:, None] < RECALLS
        stride = int(objects.max()) + 2
        segments = np.arange(self._num_classes * len(IOUS))
        wanted = np.repeat(needed.astype(np.int64), len(IOUS), axis=0) + stride * segments[:, None]
        places = np.searchsorted(right + stride * self._segment, wanted)
        reached = places < self._bounds[1:, None]
        precision = np.append(envelope, 0.0)[np.where(reached, places, len(envelope))]
        return precision.mean(axis=1).reshape(self._num_classes, len(IOUS)).T


def detection_per_image(collected: Collected, names: Mapping[int, str]) -> PerImage:
    """Results from which `AP`, `AP50`, `AP75`, `AP_/<name>` and `AP50_/<name>` follow.

    Args:
        collected: Detections and ground truth.
        names: Class number -> its name in the metrics, for all of `collected.categories`.
    """
    average = WeightedAp(collected)
    order = [names[number] for number in collected.categories]

    def metrics(weights: np.ndarray) -> dict[str, float]:
        values = average(weights)
        known = ~np.isnan(values[0])
        if not known.any():
            return {}
        found = {"AP": values[:, known].mean(), "AP50": values[0, known].mean()}
        found["AP75"] = values[5, known].mean()
        for kind, by_class in (("AP", values.mean(axis=0)), ("AP50", values[0])):
            found |= {f"{kind}_/{name}": v for name, v in zip(order, by_class, strict=True)}
        return {name: float(value) for name, value in found.items()}

    return PerImage(collected.num_images, metrics, average.items)


def _running(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, ... values, int64 [n + 1]."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
