"""Report on records of images with classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import tensorflow as tf

from efficientvision.data.class_records import parse_class_example
from efficientvision.data.inspection.report import RecordReport
from efficientvision.data.records import DetectionExample


class ClassReport(RecordReport):
    """Counts and problems of the classes in all records of a pattern.

    Args:
        labels: Class names; other ids are reported as unknown.

    Attributes:
        classes: Class id -> number of images.
        per_image: Number of classes -> number of images that have so many.
    """

    noun = "a class"

    def __init__(self, labels: Mapping[int, str] | None = None):
        super().__init__(labels)
        self.classes: Counter = Counter()
        self.per_image: Counter = Counter()

    def add_labels(self, example: DetectionExample, serialized: bytes, place: str) -> None:
        ids = parse_class_example(tf.constant(serialized))["classes"].numpy().tolist()
        self.per_image[len(ids)] += 1
        self.classes.update(ids)
        self.num_empty += not ids
        for class_id in ids:
            if class_id < 1 or (self.labels and class_id not in self.labels):
                self.add_problem("images of an unknown class", f"{place}: class {class_id}")

    def class_ids(self) -> list[int]:
        return sorted(self.classes)

    def label_lines(self) -> list[str]:
        counts = ", ".join(f"{n} with {k}" for k, n in sorted(self.per_image.items()))
        absent = [name for k, name in sorted(self.labels.items()) if not self.classes[k]]
        lines = [f"labels         {sum(self.classes.values())}; images: {counts}"]
        lines += self.class_lines(self.classes)
        return [*lines, f"without images {', '.join(absent)}"] if absent else lines
