"""Compares evaluation records with their COCO file, and with the training records."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.data.coco_json import CocoFile, read_instances
from efficientvision.data.ground_truth import NAME_BY_BYTES
from efficientvision.data.truth_agreement import FEW, TOLERANCE_PIXELS, right_file
from efficientvision.preflight.edge_alignment import swapped_in_photo
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, counted, listed
from efficientvision.preflight.record_scan import RecordScan

_SUBJECT = "val ids"
_SAME = "records and ground truth must come from the same conversion"


def id_findings(
    scan: RecordScan, json_file: str | None, *, regenerated: bool = False
) -> list[Finding]:
    """Checks that every evaluated photo is in the ground truth exactly once.

    Args:
        scan: The evaluation records.
        json_file: Ground truth in COCO format; None: the boxes of the records.
        regenerated: Whether ids are hashes of the photos; without a file, each photo then brings
            its own ground truth and its id does not matter.

    Raises:
        UserError: The file is missing or not in COCO format.
    """
    counts = Counter(scan.source_ids)
    repeated = [name for name, count in counts.items() if count > 1]
    findings = []
    if repeated:
        found = f"{counted(len(repeated), 'image id')} twice or more: {listed(repeated)}"
        advice = "the pattern probably matches two data sets, or one data set twice"
        # Without a file the records are the ground truth, where an id must belong to one photo.
        level = WARNING if json_file or regenerated else ERROR
        findings.append(Finding(level, _SUBJECT, found, advice))
    if json_file is None:
        unnamed = int((~scan.named).sum())
        if unnamed and not regenerated:
            found = f"{counted(unnamed, 'record')} without image/source_id"
            findings.append(Finding(ERROR, _SUBJECT, found, NAME_BY_BYTES))
        elif not repeated:
            found = f"{counted(len(counts), 'image')}; ground truth: the boxes of the records"
            findings.append(Finding(OK, _SUBJECT, found))
        return findings
    file = read_instances(json_file, required=["categories"], listed_categories=False)
    return findings + _json_findings(
        scan, files.base_name(json_file), file, regenerated=regenerated
    )


def _json_findings(
    scan: RecordScan, name: str, file: CocoFile, *, regenerated: bool
) -> list[Finding]:
    content = file.as_ground_truth()
    known = dict.fromkeys(str(image["id"]) for image in content["images"])
    missing = [source_id for source_id in scan.source_ids if source_id not in known]
    unnamed = int((~scan.named).sum())
    if missing and unnamed and not regenerated:
        found = f"{counted(unnamed, 'record')} without image/source_id, by which {name} knows them"
        return [Finding(ERROR, _SUBJECT, found, NAME_BY_BYTES)]
    if missing:
        found = (
            f"{len(missing):,} of {counted(scan.num_read, 'image id')} are not in {name}: "
            f"{listed(missing)} (it has {listed(known)})"
        )
        advice = f"{_SAME}; without `val_json_file` the records' own boxes are used"
        return [Finding(ERROR, _SUBJECT, found, advice)]
    left_out = [
        Finding(WARNING, _SUBJECT, f"{name}: {count:,} {reason}", "correct the file, or leave it")
        for reason, count in sorted(file.notes.items())
    ]
    annotations = content["annotations"]
    if not annotations:
        found = f"{name} has no annotations for its images, so every metric will be '-'"
        advice = "use the file of annotated images, or remove `val_json_file`"
        return [Finding(ERROR, _SUBJECT, found, advice), *left_out]
    found = f"{counted(scan.num_read, 'image id')}, all of them in {name}"
    findings = [Finding(OK, _SUBJECT, found), *left_out]
    return findings + _agreement_findings(scan, name, file, annotations)


def _agreement_findings(
    scan: RecordScan, name: str, file: CocoFile, annotations: list[dict[str, Any]]
) -> list[Finding]:
    """Checks that the file has the records' boxes, under the same class ids."""
    of_image: dict[str, list[list[float]]] = defaultdict(list)
    for annotation in annotations:
        if len(annotation.get("bbox") or ()) == 4:
            row = [float(side) for side in annotation["bbox"]]
            of_image[str(annotation["image_id"])].append([*row, annotation["category_id"]])
    given = _matched_classes(scan, scan.boxes_pixels_yxyx, of_image)
    if not len(given):
        return []
    subject = "val ground truth"
    found_there = given >= 0
    share = found_there.mean()
    if share < 0.5:
        sizes = scan.image_hw[scan.image_of]
        for boxes in (
            scan.boxes_normalized_yxyx[:, [1, 0, 3, 2]],
            swapped_in_photo(scan.boxes_normalized_yxyx, sizes),
        ):
            turned = _matched_classes(scan, boxes * np.tile(sizes, 2), of_image) >= 0
            if turned.mean() > max(0.5, 2 * share):
                found = (
                    f"x and y are swapped: {share:.0%} of the boxes are in {name}, but "
                    f"{turned.mean():.0%} with x and y swapped"
                )
                return [Finding(ERROR, subject, found, f"correct the conversion and {AGAIN}")]
        found = f"only {share:.0%} of the records' boxes are in {name}"
        sizes = _other_sizes(scan, file)
        if sizes.mean() > 0.5:
            found += f", and {sizes.mean():.0%} of the photos have another size there"
            return [Finding(ERROR, subject, found, _own_file(scan))]
        return [Finding(WARNING, subject, found, f"{_SAME}: {_own_file(scan)}")]
    same = given[found_there] == scan.classes[found_there]
    if same.mean() >= 0.5:
        found = f"{share:.0%} of the records' boxes are in {name}, {same.mean():.0%} of them with"
        found += " the same class id"
        if share < 1 - FEW:
            advice = f"metrics are computed against the file: {_own_file(scan)}"
            return [Finding(WARNING, subject, found, advice)]
        return [Finding(OK, subject, found)]
    shifts = Counter((given[found_there] - scan.classes[found_there]).tolist())
    shift, count = shifts.most_common(1)[0]
    found = f"{name} has the records' boxes under other class ids ({1 - same.mean():.0%} of them)"
    if abs(shift) == 1 and count > 0.9 * found_there.sum():
        found += f": its ids are one {'higher' if shift > 0 else 'lower'}"
    return [Finding(ERROR, subject, found, f"every AP would be 0: {_SAME}")]


def _other_sizes(scan: RecordScan, file: CocoFile) -> np.ndarray:
    """bool [N]: photos for which the file states another size."""
    stated = {str(image["id"]): (image["height"], image["width"]) for image in file.images}
    sizes = map(tuple, scan.image_hw.tolist())
    pairs = ((stated[i], size) for i, size in zip(scan.source_ids, sizes, strict=True))
    return np.array([all(theirs) and theirs != own for theirs, own in pairs], bool)


def _own_file(scan: RecordScan) -> str:
    return right_file(scan.paths)


def _matched_classes(
    scan: RecordScan, boxes_yxyx: np.ndarray, of_image: dict[str, list[list[float]]]
) -> np.ndarray:
    """Category id of the annotation with the same corners as each box; -1 if there is none.

    Args:
        scan: The evaluation records.
        boxes_yxyx: [M, 4], pixels of their photos.
        of_image: Image id -> rows of xmin, ymin, width, height, category id.
    """
    matched = np.full(len(boxes_yxyx), -1, np.int64)
    bounds = np.searchsorted(scan.image_of, np.arange(scan.num_read + 1))
    for record, source_id in enumerate(scan.source_ids):
        rows = np.array(of_image.get(source_id, np.zeros((0, 5))))
        own = np.arange(bounds[record], bounds[record + 1])
        if not len(rows) or not len(own):
            continue
        x, y, width, height, category = rows.T
        theirs = np.stack([y, x, y + height, x + width], axis=-1)
        distance = np.abs(boxes_yxyx[own, None] - theirs).max(axis=-1)
        nearest = distance.argmin(axis=-1)
        close = distance[np.arange(len(own)), nearest] <= TOLERANCE_PIXELS
        matched[own[close]] = category[nearest[close]]
    return matched
