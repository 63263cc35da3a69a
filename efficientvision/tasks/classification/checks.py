"""Checks classes and pictures of classification records."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from efficientvision.data.checks import decode_error
from efficientvision.data.picture_files import PILLOW_ERRORS, open_header
from efficientvision.preflight.class_checks import class_findings
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, counted, listed
from efficientvision.preflight.record_scan import RecordScan

_GREY = {"L": "grey", "1": "black and white", "I;16": "16-bit grey", "I": "16-bit grey"}
_ALPHA = ("LA", "RGBA", "PA")


def label_findings(
    scan: RecordScan,
    part: str,
    ids: Sequence[int],
    names: Mapping[int, str],
    *,
    multi_label: bool,
) -> list[Finding]:
    """Reports how many classes images have, and which.

    Args:
        scan: Scanned records, read with `labels_only`.
        part: "train" or "val", for the table.
        ids: Class ids of the records in the order of the network's outputs.
        names: Class number (1..K) of the network -> name; may be empty.
        multi_label: Whether an image may have any number of classes.
    """
    subject = f"{part} labels".strip()
    per_image = scan.objects_per_image
    none, several = int((per_image == 0).sum()), int((per_image > 1).sum())
    if per_image.sum() == 0:
        found = f"no classes in {counted(scan.num_read, 'record')}"
        advice = f"{AGAIN} with dataset/create_imagenet_tfrecord.py"
        return [Finding(ERROR, subject, found, advice)]
    findings = []
    if not multi_label and several:
        found = (
            f"{several:,} of {counted(scan.num_read, 'image')} have several classes, e.g. "
            f"{scan.place(np.flatnonzero(per_image > 1)[0])}"
        )
        advice = "set multi_label=true (`dataset=coco_multilabel`), or give each image one class"
        return [Finding(ERROR, subject, found, advice)]
    if not multi_label and none:
        found = (
            f"{none:,} of {counted(scan.num_read, 'image')} have no class, e.g. "
            f"{scan.place(np.flatnonzero(per_image == 0)[0])}"
        )
        return [Finding(ERROR, subject, found, f"give each image its class and {AGAIN}")]
    if not multi_label and len(ids) == 1:
        found = "num_classes=1: with one class the softmax is always 1, so nothing can be learned"
        advice = (
            "add photos of something else as a second class, or set multi_label=true with photos "
            "that have no class"
        )
        return [Finding(ERROR, subject, found, advice)]
    if multi_label:
        found = f"{per_image.mean():.1f} classes per image on average, {none:,} images without any"
        advice, level = "", OK
        if not several and not none:
            found = "multi_label=true, but every image has exactly one class"
            advice, level = "remove multi_label: classes then exclude each other (top-1)", WARNING
        findings.append(Finding(level, subject, found, advice))
    return findings + class_findings(numbered(scan, ids), part, len(ids), names, noun="images")


def numbered(scan: RecordScan, ids: Sequence[int]) -> RecordScan:
    """Replaces class ids by class numbers 1..K; unknown ids stay above K."""
    number_of = {class_id: number for number, class_id in enumerate(ids, start=1)}
    if all(class_id == number for class_id, number in number_of.items()):
        return scan
    numbers = [number_of.get(i, i if i < 1 else len(ids) + i) for i in scan.classes.tolist()]
    return dataclasses.replace(scan, classes=np.array(numbers, scan.classes.dtype))


def picture_findings(scan: RecordScan, part: str) -> list[Finding]:
    """Finds pictures that cannot be decoded or are not plain colour, among a few records.

    Args:
        scan: Scanned records, with a few photos.
        part: "train" or "val", for the table.
    """
    subject = f"{part} photos"
    kinds: Counter[str] = Counter()
    for record, encoded in scan.photos.items():
        reason = decode_error(encoded)
        if reason is not None:
            found = f"{scan.place(record)} cannot be decoded: {reason}"
            return [Finding(ERROR, subject, found, f"replace or remove it and {AGAIN}")]
        kinds[_kind(encoded)] += 1
    heights, widths = scan.image_hw.T
    found = (
        f"median size {np.median(widths):.0f}x{np.median(heights):.0f} pixels; of "
        f"{counted(sum(kinds.values()), 'photo')} checked: {_counts(kinds)}"
    )
    odd = [kind for kind in kinds if kind != "colour"]
    if not odd:
        return [Finding(OK, subject, found)]
    advice = "grey becomes three equal channels; alpha is ignored, so hidden colours show"
    return [Finding(OK, subject, found, advice)]


def _kind(encoded: bytes) -> str:
    try:
        with open_header(encoded) as image:
            mode, transparent = image.mode, "transparency" in image.info
    except PILLOW_ERRORS:
        return "unknown"
    if mode in _ALPHA or transparent:
        return "with alpha"
    return _GREY.get(mode, "CMYK" if mode == "CMYK" else "colour")


def _counts(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def split_findings(train: RecordScan, val: RecordScan, names: Mapping[int, str]) -> list[Finding]:
    """Finds classes that only one of the two sets has; empty if not all records were read.

    Args:
        train: The training records, with classes `numbered` as in the network.
        val: The evaluation records, likewise.
        names: Class number (1..K) of the network -> name; may be empty.
    """
    if not (train.complete and val.complete):
        return []
    known, measured = set(train.classes.tolist()), set(val.classes.tolist())
    texts = {}
    for scan in (train, val):
        if scan.class_texts is not None:
            texts |= dict(zip(scan.classes.tolist(), scan.class_texts, strict=True))

    def named(numbers: set[int]) -> str:
        return listed(texts.get(i) or names.get(i) or str(i) for i in sorted(numbers))

    findings = []
    if measured - known:
        found = f"val has classes without images in train: {named(measured - known)}"
        advice = "these cannot be learned: split the images again"
        findings.append(Finding(WARNING, "train and val", found, advice))
    if known - measured:
        found = f"val has no images of {named(known - measured)}: they are not evaluated"
        findings.append(Finding(WARNING, "train and val", found, "split the images again"))
    return findings
