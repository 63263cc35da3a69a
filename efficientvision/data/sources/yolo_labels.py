"""Reads YOLO's label files: one line for each object, a class id and fractions of the photo."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.json_values import short
from efficientvision.data.sources.boxed_photos import EMPTY, NOT_FINITE, REPEATED
from efficientvision.errors import UserError

# Wording of the report's counts.
SIXTH = "boxes with a sixth number, a confidence or a track id, which is not used"
OUTLINES = "outlines (segments or rotated boxes) that became the boxes around them"
KEYPOINTS = "objects with keypoints, which are not used"
COMMENTS = "comment lines in label files"

# A box may reach over the edge of its photo, but not by more than this fraction.
LARGEST_FRACTION = 1.5
_BIGGEST_ID = 10_000  # A head has an output for each number up to the largest class id.

Box = tuple[float, float, float, float]


@dataclass
class LabelFile:
    """Content of a label file.

    Attributes:
        class_ids: Class ids [n] as written, from 0.
        boxes_yxyx: Boxes [n], fractions of the photo: ymin, xmin, ymax, xmax.
        notes: How often something was skipped or changed, by reason.
        problem: A sentence on why it cannot be used; None: it can.
        largest: Largest of its coordinates and sizes.
    """

    class_ids: list[int] = field(default_factory=list)
    boxes_yxyx: list[Box] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)
    problem: str | None = None
    largest: float = 0.0


def read_label_file(path: str, keypoint_numbers: int = 0) -> LabelFile:
    """Reads a label file.

    Lines are `class cx cy w h`, perhaps with a confidence; or `class x1 y1 x2 y2 x3 y3 ...`,
    an outline.

    Args:
        path: Path of the file.
        keypoint_numbers: Numbers after a box that describe keypoints; 0: there are none.
    """
    file = LabelFile()
    try:
        text = files.read_text(path)
        seen: set[tuple[float, Box]] = set()
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if words and words[0].startswith("#"):
                file.notes[COMMENTS] += 1
            elif words:
                _read_line(file, words, f"{path}, line {number}", keypoint_numbers, seen)
    except UserError as error:
        file.problem = error.sentence
    except OSError as error:
        file.problem = f"Cannot read the labels {path}: {error.strerror}."
    return file


def _read_line(
    file: LabelFile,
    words: Sequence[str],
    where: str,
    keypoint_numbers: int,
    seen: set[tuple[float, Box]],
) -> None:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise UserError(
            f"{where}: expected a class id and numbers, got {short(' '.join(words))}."
        ) from None
    class_id = numbers[0]
    if not (class_id.is_integer() and 0 <= class_id <= _BIGGEST_ID):
        raise UserError(
            f"{where}: the class id must be a whole number from 0 to {_BIGGEST_ID:,}, got "
            f"{short(words[0])}."
        )
    values = numbers[1:]
    is_outline = len(values) >= 6 and len(values) % 2 == 0
    if keypoint_numbers and len(values) == 4 + keypoint_numbers:
        file.notes[KEYPOINTS] += 1
        values, is_outline = values[:4], False
    elif len(values) == 5:
        file.notes[SIXTH] += 1
        values = values[:4]
    elif len(values) != 4 and not is_outline:
        raise UserError(
            f"{where}: expected `class cx cy w h`, or a class and the corners of an outline, got "
            f"{len(words)} numbers; labels with keypoints need `kpt_shape` in the data.yaml."
        )
    if not all(map(math.isfinite, values)):
        file.notes[NOT_FINITE] += 1
        return
    file.largest = max(file.largest, *values)
    if is_outline:
        file.notes[OUTLINES] += 1
    box = _outline_box(values) if is_outline else _centred_box(values)
    if box[2] <= box[0] or box[3] <= box[1]:
        file.notes[EMPTY] += 1
    elif (class_id, box) in seen:
        file.notes[REPEATED] += 1
    else:
        seen.add((class_id, box))
        file.class_ids.append(int(class_id))
        file.boxes_yxyx.append(box)


def _centred_box(values: Sequence[float]) -> Box:
    x, y, width, height = values
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2


def _outline_box(values: Sequence[float]) -> Box:
    xs, ys = values[0::2], values[1::2]
    return min(ys), min(xs), max(ys), max(xs)


def looks_like_labels(path: str) -> bool:
    """Whether a text file can be YOLO's labels: empty, or beginning with a line of numbers."""
    try:
        with files.reading(path) as file:
            start = file.read(1 << 12).decode("utf-8-sig", "replace")
    except OSError:
        return False
    lines = (line.split() for line in start.splitlines())
    words = next((line for line in lines if line and not line[0].startswith("#")), None)
    if words is None:
        return True
    try:
        return len([float(word) for word in words[:5]]) == 5
    except ValueError:
        return False
