"""Report on records of images with masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.data.inspection.report import RecordReport
from efficientvision.data.mask_records import IGNORED, decode_mask, mask_of
from efficientvision.data.masks.convert import share_lines
from efficientvision.data.records import DetectionExample
from efficientvision.errors import UserError


class MaskReport(RecordReport):
    """Counts and problems of the masks in all records of a pattern.

    Args:
        labels: Class names, from 0; other classes are reported as unknown.

    Attributes:
        pixels: int64 [256], number of pixels of each value in all masks.
    """

    noun = "a labelled pixel"

    def __init__(self, labels: Mapping[int, str] | None = None):
        super().__init__(labels)
        self.pixels = np.zeros(256, np.int64)

    def add_labels(self, example: DetectionExample, serialized: bytes, place: str) -> None:
        encoded = mask_of(serialized)
        if encoded is None:
            self.num_empty += 1
            self.add_problem("images without a mask", place)
            return
        try:
            mask = decode_mask(encoded)
        except UserError as error:
            self.add_problem("masks that cannot be decoded", f"{place}: {error}")
            return
        pixels = np.bincount(mask.reshape(-1), minlength=256)
        self.pixels += pixels
        present = np.flatnonzero(pixels[:IGNORED]).tolist()
        if example.height > 0 and mask.shape != (example.height, example.width):
            sizes = f"{mask.shape[1]}x{mask.shape[0]}, the image {example.width}x{example.height}"
            self.add_problem("masks of another size than the image", f"{place}: {sizes}")
        self.num_empty += not present
        unknown = [k for k in present if self.labels and k not in self.labels]
        if unknown:
            found = ", ".join(f"class {k} ({pixels[k]:,} pixels)" for k in unknown)
            self.add_problem("masks with an unknown class", f"{place}: {found}")

    def class_ids(self) -> list[int]:
        return np.flatnonzero(self.pixels[:IGNORED]).tolist()

    def label_lines(self) -> list[str]:
        labelled = int(self.pixels[:IGNORED].sum())
        return [
            f"pixels         {labelled:,} with a class",
            "classes",
            *(f"  {line}" for line in share_lines(self.pixels, self.labels)),
        ]
