"""The layout of a folder of labelled photos, and the options of its conversion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from efficientvision.data.conversion import ConversionReport

# What a label is: an object's box, an image's class or classes, or a class per pixel.
BOXES = "boxes"
CLASSES = "classes"
MASKS = "masks"


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of the conversion of a folder to records.

    Attributes:
        val_fraction: Share (0..1) of a set that is not split to hold out for validation; 0: none.
        seed: Seed of that choice.
        background: Keep photos without a label file as backgrounds; otherwise they are left out,
            and counted. (A photo with an empty label file is always a background.)
        skip_bad: Leave out photos and labels that cannot be used, and count them; otherwise they
            are an error.
        num_shards: Files per part, at most; None: `NUM_SHARDS`.
        num_workers: Parallel processes; None: one per core.
    """

    val_fraction: float = 0.1
    seed: int = 0
    background: bool = False
    skip_bad: bool = False
    num_shards: int | None = None
    num_workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder that was recognised by the names of its files; nothing is converted yet.

    Attributes:
        format: Short name, the value of the option `data_format` that chooses it: `"yolo"`.
        labels: `BOXES`, `CLASSES` or `MASKS`.
        evidence: What it was recognised by, for the printed line: `"data.yaml"`,
            `"train/_annotations.coco.json, valid/_annotations.coco.json"`.
        inputs: Paths of all files that decide the records: labels, lists, photos.
        is_split: Whether it says which photos are for validation.
        version: Version of the converter; a change of what it writes increases it.
        convert: Writes `train-*.tfrecord`, `val-*.tfrecord` (`test-...` if there is such a part),
            `json_<part>.json` (boxes) and `labels.json` to a folder; returns a report per part,
            in the order train, val, test.
    """

    format: str
    labels: str
    evidence: str
    inputs: Sequence[str]
    is_split: bool
    version: int
    convert: Callable[[str, ConvertOptions], list[ConversionReport]]


# Looks at a folder and returns its layout, or None if it is of another kind. Reads lists of names
# and small files only. Raises UserError if the folder is clearly of the kind and cannot be used.
Finder = Callable[[str], Layout | None]
