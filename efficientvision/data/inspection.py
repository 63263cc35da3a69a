"""A report on record files: what is in them, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from efficientvision.data.checks import decode_error
from efficientvision.data.ground_truth import pixel_areas
from efficientvision.data.labels import LabelMap
from efficientvision.data.record_files import FilePattern, count_records, iter_records, match_files
from efficientvision.data.records import DetectionExample, decode_example
from efficientvision.errors import UserError

# COCO's limits: below 32 x 32 pixels is small, up to 96 x 96 medium.
SMALL, MEDIUM = 32**2, 96**2
MAX_NAMED = 5


@dataclass
class RecordReport:
    """Counts and findings over all records of a pattern.

    Attributes:
        num_files, num_images, num_boxes, num_empty, num_crowds: counts.
        max_boxes: most boxes in one image.
        image_sizes: (height, width) -> images.
        classes: class id -> boxes.
        box_sizes: "small", "medium", "large" (COCO's limits) -> boxes.
        problems: kind of problem -> the places where it was found.
        labels: class names, where known.
    """

    num_files: int = 0
    num_images: int = 0
    num_boxes: int = 0
    num_empty: int = 0
    num_crowds: int = 0
    max_boxes: int = 0
    image_sizes: Counter = field(default_factory=Counter)
    classes: Counter = field(default_factory=Counter)
    box_sizes: Counter = field(default_factory=Counter)
    problems: dict[str, list[str]] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)

    def add_problem(self, kind: str, place: str) -> None:
        """Notes that a problem of this kind was found there."""
        self.problems.setdefault(kind, []).append(place)

    def __str__(self) -> str:
        per_image = self.num_boxes / max(1, self.num_images)
        sizes = ", ".join(
            f"{width}x{height} ({count})"
            for (height, width), count in self.image_sizes.most_common(MAX_NAMED)
        )
        more = len(self.image_sizes) - MAX_NAMED
        lines = [
            f"files          {self.num_files}",
            f"images         {self.num_images}, {self.num_empty} of them without objects",
            f"image sizes    {sizes}{f' and {more} more' if more > 0 else ''}  (width x height)",
            f"boxes          {self.num_boxes}: {per_image:.1f} an image, at most {self.max_boxes}; "
            f"{self.num_crowds} crowds",
            "box sizes      "
            + ", ".join(f"{self.box_sizes[size]} {size}" for size in ("small", "medium", "large")),
            "classes",
        ]
        for class_id, count in sorted(self.classes.items()):
            lines.append(f"  {class_id:>4} {self.labels.get(class_id, '?'):<20} {count}")
        if not self.problems:
            lines.append("problems       none found")
        for kind, places in sorted(self.problems.items()):
            lines.append(f"PROBLEM        {len(places)} {kind}:")
            lines += [f"                 {place}" for place in places[:MAX_NAMED]]
            if len(places) > MAX_NAMED:
                lines.append(f"                 and {len(places) - MAX_NAMED} more")
        return "\n".join(lines)


def inspect_records(
    file_pattern: FilePattern,
    *,
    labels: Mapping[int, str] | None = None,
    num_classes: int | None = None,
    max_instances_per_image: int = 100,
) -> RecordReport:
    """Reads every record and decodes every image.

    Args:
        file_pattern: the records.
        labels: the class names; ids outside are reported as unknown.
        num_classes: without ``labels``, ids above this are unknown; None: any id is known.
        max_instances_per_image: images with more boxes are reported.

    Raises:
        UserError: nothing matches, or a file is cut short.
    """
    files = match_files(file_pattern)
    report = RecordReport(num_files=len(files), labels=dict(labels or {}))
    seen: dict[str, str] = {}
    with tqdm(total=sum(count_records(files)), desc="inspecting", unit="img") as bar:
        for path in files:
            for position, serialized in enumerate(iter_records(path)):
                place = f"record {position} of {path}"
                bar.update()
                try:
                    example = decode_example(serialized)
                except UserError as error:
                    report.add_problem("unreadable records", f"{place}: {error}")
                    continue
                place += f", image {example.source_id!r} ({example.filename})"
                _add_image(report, example, place, seen, max_instances_per_image)
                _add_boxes(report, example, place, num_classes)
    return report


def _add_image(
    report: RecordReport,
    example: DetectionExample,
    place: str,
    seen: dict[str, str],
    max_instances: int,
) -> None:
    count = len(example.classes)
    report.num_images += 1
    report.num_boxes += count
    report.num_empty += count == 0
    report.num_crowds += sum(example.is_crowd or [])
    report.max_boxes = max(report.max_boxes, count)
    report.image_sizes[example.height, example.width] += 1
    reason = decode_error(example.encoded)
    if reason:
        report.add_problem("images that cannot be decoded", f"{place}: {reason}")
    if count > max_instances:
        report.add_problem(
            f"images with more boxes than max_instances_per_image={max_instances}",
            f"{place}: {count}",
        )
    if not example.source_id:
        report.add_problem("images without source_id", place)
    elif example.source_id in seen:
        report.add_problem("repeated image ids", f"{place}, first in {seen[example.source_id]}")
    else:
        seen[example.source_id] = place.partition(",")[0]


def _add_boxes(
    report: RecordReport, example: DetectionExample, place: str, num_classes: int | None
) -> None:
    for class_id in example.classes:
        report.classes[class_id] += 1
        unknown = class_id < 1 or (num_classes is not None and class_id > num_classes)
        if report.labels:
            unknown = class_id not in report.labels
        if unknown:
            report.add_problem("boxes of an unknown class", f"{place}: class {class_id}")
    for area in pixel_areas(example):
        size = "small" if area < SMALL else "medium" if area <= MEDIUM else "large"
        report.box_sizes[size] += 1
    for box in np.asarray(example.boxes_yxyx).reshape(-1, 4):
        ymin, xmin, ymax, xmax = box
        described = f"{place}: [ymin xmin ymax xmax] = {np.round(box, 1).tolist()}"
        if not np.isfinite(box).all() or ymax <= ymin or xmax <= xmin:
            report.add_problem("degenerate boxes", described)
        # Half a pixel of tolerance: normalised float32 does not come back exactly.
        elif min(ymin, xmin) < -0.5 or ymax > example.height + 0.5 or xmax > example.width + 0.5:
            report.add_problem("boxes leaving their image", described)
