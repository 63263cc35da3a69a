"""Compares a COCO file with some records before an evaluation: is it their ground truth?

If the boxes in a file were made for other pictures (turned, shrunk or cropped since), nothing
fails visibly: every AP is just lower.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from efficientvision import files
from efficientvision.data.coco_json import CocoFile
from efficientvision.data.ground_truth import image_id_of
from efficientvision.data.record_files import FilePattern, iter_records, match_files, shard_prefix
from efficientvision.data.records import DetectionExample, decode_example
from efficientvision.data.truth_file import truth_path
from efficientvision.errors import UserError

# Converters round; published boxes exceed the edge by less.
TOLERANCE_PIXELS = 1.5
# A converter may skip some boxes of a published file.
FEW = 0.01
_LIMIT = 1000


@dataclass(frozen=True)
class Agreement:
    """Comparison of the checked records with the file.

    Attributes:
        images: Number of images that the file lists.
        other_sizes: Number of these for which file and record state different sizes.
        boxes: Number of boxes in either of both.
        other_boxes: Number of boxes that the other side lacks.
    """

    images: int = 0
    other_sizes: int = 0
    boxes: int = 0
    other_boxes: int = 0


def look(file: CocoFile, file_pattern: FilePattern) -> Agreement:
    """Compares the first records of each file of a pattern with a COCO file.

    Images without boxes on either side are not compared. Takes about 0.3 ms per record.

    Args:
        file: The ground truth.
        file_pattern: Pattern of the records.
    """
    listed = {image["id"]: image for image in file.images}
    has_boxes = False
    images = other_sizes = boxes = other_boxes = 0
    for example in _some(file_pattern, _LIMIT):
        image_id = image_id_of(example.source_id)
        if image_id not in listed:
            continue
        images += 1
        stated = [listed[image_id][side] for side in ("height", "width")]
        if min(example.height, example.width) < 1:
            continue  # Its boxes in pixels are unknown.
        if all(stated) and stated != [example.height, example.width]:
            other_sizes += 1
        theirs = [annotation["bbox"] for annotation in file.by_image.get(image_id, ())]
        has_boxes |= bool(len(example.classes))
        boxes += max(len(theirs), len(example.classes))
        other_boxes += _unlike(example.boxes_yxyx, theirs)
    # Records without any annotation may legitimately be evaluated with a file.
    return Agreement(images, other_sizes, *((boxes, other_boxes) if has_boxes else (0, 0)))


def _some(file_pattern: FilePattern, limit: int) -> Iterator[DetectionExample]:
    paths = match_files(file_pattern)
    of_each = -(-limit // len(paths))
    for path in paths:
        for serialized in itertools.islice(iter_records(path), of_each):
            try:
                yield decode_example(serialized)
            except UserError:
                continue  # The evaluation itself reports what is wrong with it.


def _unlike(boxes_yxyx: np.ndarray, theirs_xywh: list[list[float]]) -> int:
    """Number of boxes of the larger of two sets without a match in the other."""
    if not len(boxes_yxyx) or not theirs_xywh:
        return max(len(boxes_yxyx), len(theirs_xywh))
    x, y, width, height = np.array(theirs_xywh, np.float64).T
    theirs = np.stack([y, x, y + height, x + width], axis=-1)
    close = np.abs(np.asarray(boxes_yxyx)[:, None] - theirs).max(axis=-1) <= TOLERANCE_PIXELS
    return max(int((~close.any(axis=0)).sum()), int((~close.any(axis=1)).sum()))


def right_file(file_pattern: FilePattern) -> str:
    """Advice for the case that a file is not the ground truth of the records."""
    own = {
        truth_path(files.join(files.parent(path), shard_prefix(path)))
        for path in match_files(file_pattern)
    }
    there = [path for path in own if files.is_file(path)]
    if len(own) == len(there) == 1:
        return f"the converter wrote `val_json_file={there[0]}` for these records"
    return "remove `val_json_file` to use the records' own boxes"


def check_agreement(file: CocoFile, file_pattern: FilePattern) -> str | None:
    """Returns a warning if a COCO file has other boxes than the records; None if it fits.

    Raises:
        UserError: It is the ground truth of other pictures: most sizes and most boxes differ.
    """
    if not any(file.by_image.values()):
        return f"WARNING: {file.path} has no annotations for its images: every metric will be '-'."
    found = look(file, file_pattern)
    if not found.boxes or found.other_boxes <= FEW * found.boxes:
        return None
    share = f"{found.other_boxes:,} of {found.boxes:,} boxes compared differ"
    if found.other_sizes > found.images / 2 and found.other_boxes > found.boxes / 2:
        raise UserError(
            f"{file.path} is not the ground truth of {file_pattern}: {found.other_sizes:,} of "
            f"{found.images:,} images have another size there, and {share}; "
            f"{right_file(file_pattern)}."
        )
    return (
        f"WARNING: {file.path} has other boxes than {file_pattern}, and metrics are computed "
        f"against the file: {share}; {right_file(file_pattern)}."
    )
