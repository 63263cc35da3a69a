"""The report that a converter prints when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Files per part, unless the user asks for another number.
NUM_SHARDS = 32
LEFT_OUT = "images left out, as they cannot be used"
_LISTED = 10


@dataclass(frozen=True)
class BuiltRecord:
    """The record that a converter builds of one item.

    Attributes:
        serialized: The record.
        notes: Things done to the image or its annotations, in the words that the report counts.
        facts: Data that the converter needs later, for the files beside the records.
        remarks: Messages about this particular item.
    """

    serialized: bytes
    notes: Sequence[str] = ()
    facts: Any = None
    remarks: Sequence[str] = ()


@dataclass
class Written:
    """Result of writing the records of a data set.

    Attributes:
        paths: Paths of the shards.
        notes: How often each note was given.
        facts: Facts of each item, in order; None for one that was left out.
        bad: A sentence for each item that was left out.
        remarks: Remarks of all items.
    """

    paths: list[str]
    notes: Counter = field(default_factory=Counter)
    facts: list[Any] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass
class ConversionReport:
    """The files that a conversion wrote, and what it left out and why.

    `num_boxes` counts boxes, or whatever `unit` says; `details` are further lines.
    """

    files: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    num_images: int = 0
    num_boxes: int = 0
    skipped: Counter = field(default_factory=Counter)
    unit: str = "boxes"
    details: list[str] = field(default_factory=list)

    def add(self, written: Written) -> None:
        """Adds the shards, the counts and the items left out."""
        self.files = written.paths
        self.skipped.update(written.notes)
        if written.bad:
            self.skipped[LEFT_OUT] += len(written.bad)
        for lines in ([f"left out: {sentence}" for sentence in written.bad], written.remarks):
            self.details += lines[:_LISTED]
            if len(lines) > _LISTED:
                self.details.append(f"... and {len(lines) - _LISTED} more")

    def __str__(self) -> str:
        lines = [
            f"{self.num_images} images, {self.num_boxes:,} {self.unit}, {len(self.labels)} classes"
            f" -> {len(self.files)} shards {self.files[0]} ...",
            *(f"  {line}" for line in self.details),
            *(f"  {count} {reason}" for reason, count in sorted(self.skipped.items())),
            *(f"wrote {path}" for path in self.sidecars),
        ]
        return "\n".join(lines)
