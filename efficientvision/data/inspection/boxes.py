"""Report on records of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from efficientvision.data.ground_truth import pixel_areas
from efficientvision.data.inspection.report import RecordReport
from efficientvision.data.records import DetectionExample

# COCO's limits: small is below 32 x 32 pixels, medium up to 96 x 96.
SMALL, MEDIUM = 32**2, 96**2


class BoxReport(RecordReport):
    """Counts and problems of the boxes in all records of a pattern.

    Args:
        labels: Class names; other ids are reported as unknown.
        num_classes: Without ``labels``, ids above this are unknown; None: any id is known.
        max_instances_per_image: Images with more boxes are reported.

    Attributes:
        num_boxes, num_crowds: Counts.
        max_boxes: Most boxes in one image.
        classes: Class id -> number of boxes.
        box_sizes: "small", "medium", "large" (COCO's limits) -> number of boxes.
    """

    def __init__(
        self,
        labels: Mapping[int, str] | None = None,
        *,
        num_classes: int | None = None,
        max_instances_per_image: int = 100,
    ):
        super().__init__(labels)
        self.num_boxes = 0
        self.num_crowds = 0
        self.max_boxes = 0
        self.classes: Counter = Counter()
        self.box_sizes: Counter = Counter()
        self._num_classes = num_classes
        self._max_instances = max_instances_per_image

    def add_labels(self, example: DetectionExample, serialized: bytes, place: str) -> None:
        count = len(example.classes)
        self.num_boxes += count
        self.num_empty += count == 0
        self.num_crowds += sum(example.is_crowd or [])
        self.max_boxes = max(self.max_boxes, count)
        if count > self._max_instances:
            self.add_problem(
                f"images with more boxes than max_instances_per_image={self._max_instances}",
                f"{place}: {count}",
            )
        self._add_classes(example, place)
        self._add_boxes(example, place)

    def class_ids(self) -> list[int]:
        return sorted(self.classes)

    def label_lines(self) -> list[str]:
        per_image = self.num_boxes / max(1, self.num_images)
        return [
            f"boxes          {self.num_boxes}: {per_image:.1f} an image, at most {self.max_boxes}; "
            f"{self.num_crowds} crowds",
            "box sizes      "
            + ", ".join(f"{self.box_sizes[size]} {size}" for size in ("small", "medium", "large")),
            *self.class_lines(self.classes),
        ]

    def _add_classes(self, example: DetectionExample, place: str) -> None:
        for class_id in example.classes:
            self.classes[class_id] += 1
            unknown = class_id < 1 or (
                self._num_classes is not None and class_id > self._num_classes
            )
            if self.labels:
                unknown = class_id not in self.labels
            if unknown:
                self.add_problem("boxes of an unknown class", f"{place}: class {class_id}")

    def _add_boxes(self, example: DetectionExample, place: str) -> None:
        for area in pixel_areas(example):
            size = "small" if area < SMALL else "medium" if area <= MEDIUM else "large"
            self.box_sizes[size] += 1
        for box in np.asarray(example.boxes_yxyx).reshape(-1, 4):
            ymin, xmin, ymax, xmax = box
            described = f"{place}: [ymin xmin ymax xmax] = {np.round(box, 1).tolist()}"
            if not np.isfinite(box).all() or ymax <= ymin or xmax <= xmin:
                self.add_problem("degenerate boxes", described)
            # Half a pixel of tolerance: normalised float32 coordinates do not come back exactly.
            elif (
                min(ymin, xmin) < -0.5 or ymax > example.height + 0.5 or xmax > example.width + 0.5
            ):
                self.add_problem("boxes leaving their image", described)
