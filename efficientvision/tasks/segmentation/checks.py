"""Checks masks against the network: classes, ignored pixels, and training windows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

from efficientvision.data.class_pixels import mask_pixels
from efficientvision.data.mask_records import IGNORED
from efficientvision.data.record_files import FilePattern
from efficientvision.errors import UserError
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, counted, listed
from efficientvision.preflight.record_scan import RecordScan, scan_records

# Decoding a mask takes longer than reading a header, so fewer are read.
DEFAULT_LIMIT = 1000
_SHOWN = 6
# The published networks for Cityscapes have such an output, which no pixel should have.
_OUTSIDE = "background"
# Shares of pixels above which something is probably wrong.
_MUCH_IGNORED, _MUCH_PADDING = 0.5, 0.5


@dataclasses.dataclass(frozen=True)
class MaskScan:
    """Content of the records of a pattern, and of the masks of the first ones of each file.

    Attributes:
        records: Sizes, ids and hashes of the photos.
        record_of: int64 [M], index of the record of each mask read.
        mask_hw: int32 [M, 2].
        pixels: int32 [M, 256], number of pixels of each value.
    """

    records: RecordScan
    record_of: np.ndarray
    mask_hw: np.ndarray
    pixels: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every mask was read."""
        return self.records.complete and len(self.record_of) == self.records.num_read

    @property
    def totals(self) -> np.ndarray:
        """int64 [256], pixels of each value in all masks read."""
        return self.pixels.sum(axis=0, dtype=np.int64)

    @property
    def present(self) -> set[int]:
        """The classes that have pixels."""
        return set(np.flatnonzero(self.totals[:IGNORED]).tolist())


def scan_masks(
    file_pattern: FilePattern,
    *,
    limit: int = DEFAULT_LIMIT,
    regenerate_source_id: bool = False,
    description: str = "checking masks",
) -> MaskScan:
    """Reads the headers of records, and the masks of about `limit` of them.

    Args:
        file_pattern: Pattern of the records.
        limit: Number of masks to read, equally many from the start of each file.
        regenerate_source_id: Name photos by a hash of their bytes, as the pipeline then does.
        description: Label of the progress bar, which appears after two seconds.

    Raises:
        UserError: Nothing matches, or a record is damaged or has no mask; the error names it.
    """
    records = scan_records(
        file_pattern, regenerate_source_id=regenerate_source_id, labels_only=True
    )
    each = max(1, math.ceil(limit / len(records.paths)))
    batches = list(mask_pixels(file_pattern, each=each, description=description))
    # Both read the first records of each file; this one reads file after file.
    starts = [np.flatnonzero(records.file_of == file) for file in range(len(records.paths))]
    masks_of = np.bincount(
        np.concatenate([np.zeros(0, np.int64), *(batch["file"] for batch in batches)]),
        minlength=len(records.paths),
    )
    return MaskScan(
        records=records,
        record_of=np.concatenate([own[:n] for own, n in zip(starts, masks_of, strict=True)]),
        mask_hw=np.concatenate(
            [np.zeros((0, 2), np.int32), *(batch["mask_hw"] for batch in batches)]
        ),
        pixels=np.concatenate(
            [np.zeros((0, 256), np.int32), *(batch["pixels"] for batch in batches)]
        ),
    )


def mask_findings(
    scan: MaskScan, part: str, num_classes: int, names: Mapping[int, str]
) -> list[Finding]:
    """Compares the classes of masks with the network's, and reports ignored pixels.

    Args:
        scan: The records.
        part: "train" or "val", for the table.
        num_classes: C; classes run from 0 to C - 1.
        names: Class (from 0) -> name; may be empty.
    """
    subject = f"{part} masks".strip()
    if not len(scan.record_of):
        return []  # No records at all: the row about files says so.
    error = _size_error(scan, subject) or _range_error(scan, subject, num_classes)
    if error is not None:
        return [error]
    if num_classes == 1:
        found = "num_classes=1: with one class the softmax is always 1, so nothing can be learned"
        advice = "set num_classes=2 and give all other pixels a class, such as 0"
        return [Finding(ERROR, subject, found, advice)]
    labelled = int(scan.totals[:IGNORED].sum())
    if not labelled:
        found = f"every pixel of {counted(len(scan.record_of), 'mask')} is {IGNORED}, ignored"
        return [Finding(ERROR, subject, found, f"correct the labels and {AGAIN}")]
    findings = [Finding(OK, subject, _shares(scan, num_classes, names, labelled))]
    absent = sorted(k for k in set(range(num_classes)) - scan.present if names.get(k) != _OUTSIDE)
    if part != "val" and absent and scan.complete:
        found = f"no pixel of {listed(_named(k, names) for k in absent)}"
        advice = "the network cannot learn a class without pixels"
        findings.append(Finding(WARNING, subject, found, advice))
    nameless = sorted(k for k in scan.present if names and k not in names)
    if nameless:
        found = f"classes {listed(nameless)} have pixels but no name"
        findings.append(Finding(WARNING, subject, found, "name them in labels.json or label_map"))
    return [*findings, _ignored_finding(scan, subject)]


def _size_error(scan: MaskScan, subject: str) -> Finding | None:
    image_hw = scan.records.image_hw[scan.record_of]
    wrong = np.flatnonzero((scan.mask_hw != image_hw).any(axis=1))
    if not len(wrong):
        return None
    (height, width), (mask_height, mask_width) = image_hw[wrong[0]], scan.mask_hw[wrong[0]]
    found = (
        f"the mask of {scan.records.place(scan.record_of[wrong[0]])} has {mask_width}x"
        f"{mask_height} pixels and the image {width}x{height}"
        + (f"; {len(wrong) - 1:,} more differ" if wrong[1:].size else "")
    )
    return Finding(ERROR, subject, found, f"give both the same size and {AGAIN}")


def _range_error(scan: MaskScan, subject: str, num_classes: int) -> Finding | None:
    outside = sorted(k for k in scan.present if k >= num_classes)
    if not outside:
        return None
    first = np.flatnonzero(scan.pixels[:, outside[0]])[0]
    pixels = scan.totals[outside].sum()
    share = pixels / scan.totals[:IGNORED].sum()
    found = (
        f"num_classes={num_classes}, but the mask of "
        f"{scan.records.place(scan.record_of[first])} has class {outside[0]}, and {share:.1%} of "
        f"the labelled pixels are outside 0..{num_classes - 1} ({listed(outside)})"
    )
    advice = (
        f"set num_classes={outside[-1] + 1}, or if {outside[0]} is no class {AGAIN} with "
        f"`ignore_label={outside[0]}`"
    )
    return Finding(ERROR, subject, found, advice)


def _shares(scan: MaskScan, num_classes: int, names: Mapping[int, str], labelled: int) -> str:
    totals = scan.totals
    ids = sorted(scan.present, key=lambda k: -totals[k])
    shown = [f"{_named(k, names)} {totals[k] / labelled:.1%}" for k in ids]
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN // 2], "...", *shown[-_SHOWN // 2 :]]
    return f"num_classes={num_classes}; labelled pixels: {', '.join(shown)}"


def _ignored_finding(scan: MaskScan, subject: str) -> Finding:
    share = scan.totals[IGNORED] / scan.totals.sum()
    blank = np.flatnonzero(scan.pixels[:, :IGNORED].sum(axis=1) == 0)
    found = f"{share:.1%} of the pixels are ignored"
    if len(blank):
        found += (
            f"; {len(blank):,} of {counted(len(scan.record_of), 'mask')} have no other pixels, "
            f"e.g. that of {scan.records.place(scan.record_of[blank[0]])}"
        )
    if share > _MUCH_IGNORED:
        advice = "is so much unlabelled? A background that counts needs a class of its own"
        return Finding(WARNING, subject, found, advice)
    if len(blank):
        return Finding(
            WARNING, subject, found, "such masks teach nothing: leave them out, or label them"
        )
    return Finding(OK, subject, found)


def window_findings(
    scan: MaskScan, image_hw: tuple[int, int], scale: tuple[float, float]
) -> list[Finding]:
    """Compares the sizes of the training photos with the windows cut from them.

    Args:
        scan: The training records.
        image_hw: (height, width) of the window.
        scale: Range of the factor that photos are scaled by first.
    """
    sizes = scan.records.image_hw
    if not len(sizes):
        return []
    middle = math.sqrt(scale[0] * scale[1])  # Factors are drawn by their logarithms.
    padding = 1 - np.minimum(sizes * middle / image_hw, 1).prod(axis=1).mean()
    always = int((sizes * scale[1] < image_hw).any(axis=1).sum())
    height, width = np.median(sizes, axis=0)
    found = (
        f"{width:.0f}x{height:.0f} pixels in the median, scaled by {scale[0]:g} to {scale[1]:g} "
        f"for windows of {image_hw[1]}x{image_hw[0]}: {padding:.0%} of them is padding"
    )
    if always:
        found += f"; {always:,} of {counted(len(sizes), 'photo')} never fill one"
    if padding > _MUCH_PADDING or always > len(sizes) / 2:
        advice = "take a smaller image_size, or scale more (random_scale)"
        return [Finding(WARNING, "train windows", found, advice)]
    return [Finding(OK, "train windows", found)]


def mask_split_findings(train: MaskScan, val: MaskScan, names: Mapping[int, str]) -> list[Finding]:
    """Finds classes that only one of the two sets has; empty if not all masks were read."""
    if not (train.complete and val.complete):
        return []

    def named(classes: Iterable[int]) -> str:
        return listed(_named(k, names) for k in sorted(classes))

    findings = []
    if unknown := val.present - train.present:
        found = f"val has classes without pixels in train: {named(unknown)}"
        advice = "these cannot be learned: split the images again"
        findings.append(Finding(WARNING, "train and val", found, advice))
    if unmeasured := train.present - val.present:
        found = f"val has no pixel of {named(unmeasured)}: the mIoU leaves these out"
        findings.append(Finding(WARNING, "train and val", found, "split the images again"))
    return findings


def _named(number: int, names: Mapping[int, str]) -> str:
    return f"{number} {names[number]}" if number in names else str(number)


def check_mask_classes(
    file_pattern: FilePattern, num_classes: int, names: Mapping[int, str]
) -> None:
    """Makes sure that a network with `num_classes` outputs covers the classes of masks.

    Args:
        file_pattern: Pattern of the records; a sample of them is read.
        num_classes: C.
        names: Class (from 0) -> name; may be empty.

    Raises:
        UserError: A class is outside 0..C - 1, or masks and images differ in size.
    """
    for finding in mask_findings(scan_masks(file_pattern), "", num_classes, names):
        if finding.level == ERROR:
            raise UserError(f"{finding.found}: {finding.advice}.")
