"""What a converter tells when it is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from efficientvision.data.labels import LabelMap


@dataclass
class ConversionReport:
    """What a conversion wrote, and what it left out and why.

    `num_boxes` counts boxes, or whatever else `unit` says; `details` are further lines.
    """

    files: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    labels: LabelMap = field(default_factory=dict)
    num_images: int = 0
    num_boxes: int = 0
    skipped: Counter = field(default_factory=Counter)
    unit: str = "boxes"
    details: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.num_images} images, {self.num_boxes:,} {self.unit}, {len(self.labels)} classes"
            f" -> {len(self.files)} shards {self.files[0]} ...",
            *(f"  {line}" for line in self.details),
            *(f"  {count} {reason}" for reason, count in sorted(self.skipped.items())),
            *(f"wrote {path}" for path in self.sidecars),
        ]
        return "\n".join(lines)
