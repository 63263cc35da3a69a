"""Checks boxes and photos of records: coordinates, order of x and y, sizes, objects per image."""

from __future__ import annotations

from collections import Counter

import numpy as np

from efficientvision.preflight.edge_alignment import edge_alignment, swapped_in_photo
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, counted, listed
from efficientvision.preflight.record_scan import RecordScan

# Half a pixel of tolerance: normalised float32 coordinates do not come back exactly.
_TOLERANCE_PIXELS = 0.5
_MANY = 0.05  # From this share of bad boxes on, the conversion is to blame, not an annotator.
_TINY_PIXELS = 4.0  # Half a cell of the finest feature level.
_EMPTY_INPUT = 0.35


def box_findings(scan: RecordScan, part: str, *, needed: bool = True) -> list[Finding]:
    """Finds boxes without area, outside their photo, in pixels, or with x and y swapped.

    Args:
        scan: The records.
        part: "train" or "val", for the table.
        needed: Whether there must be any; not if the ground truth is a file.
    """
    subject = f"{part} boxes"
    boxes = scan.boxes_normalized_yxyx.astype(np.float64)
    if not len(boxes):
        found = f"no objects in {counted(scan.num_read, 'image')}"
        return [Finding(ERROR if needed else WARNING, subject, found, _CONVERSION)]
    flat = ~_has_area(boxes)
    finite = boxes[np.isfinite(boxes).all(axis=-1)]
    if len(finite) and np.median(np.abs(finite).max(axis=-1)) > 2.0:
        found = f"coordinates go up to {np.abs(finite).max():,.0f}: pixels, not shares of the photo"
        advice = f"divide x by the width and y by the height, and {AGAIN}"
        return [Finding(ERROR, subject, found, advice)]
    swapped = _swapped_finding(scan, subject, boxes)
    if swapped is not None:
        return [swapped]
    described = _flat_description(scan, boxes, flat)
    if flat.mean() > 0.5:
        return [Finding(ERROR, subject, described, _CONVERSION)]
    empty = int((scan.objects_per_image == 0).sum())
    found = f"{len(boxes):,} in {counted(scan.num_read, 'image')}, {empty:,} without objects"
    findings = [Finding(OK, subject, found)]
    if flat.any():
        advice = "training skips them; dataset/inspect_tfrecords.py lists them"
        findings.append(Finding(WARNING, subject, described, advice))
    outside = _leaves_photo(boxes, scan.image_hw[scan.image_of]) & ~flat
    if outside.any():
        found = f"{_share(outside)} reach beyond their photo, e.g. in {_first(scan, outside)}"
        advice = "training clips them; dataset/inspect_tfrecords.py lists them"
        findings.append(Finding(WARNING, subject, found, advice))
    return findings


_CONVERSION = f"correct the conversion and {AGAIN}"


def _has_area(boxes: np.ndarray) -> np.ndarray:
    """bool [M]; boxes with NaN have none."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def _leaves_photo(boxes: np.ndarray, image_hw: np.ndarray) -> np.ndarray:
    tolerance = np.tile(_TOLERANCE_PIXELS / image_hw, 2)
    return ((boxes < -tolerance) | (boxes > 1.0 + tolerance)).any(axis=-1)


def _flat_description(scan: RecordScan, boxes: np.ndarray, flat: np.ndarray) -> str:
    """Describes the boxes that have no area."""
    if not flat.any():
        return ""
    described = f"{_share(flat)} have no area, e.g. in {_first(scan, flat)}"
    turned = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    unreal = ~np.isfinite(boxes).all(axis=-1)
    if turned.mean() > _MANY:
        described += (
            f"; in {turned.mean():.0%} a maximum is below its minimum: are these width and height, "
            "or corners in another order?"
        )
    elif unreal.any():
        described += f"; {unreal.sum()} contain NaN"
    return described


def _swapped_finding(scan: RecordScan, subject: str, boxes: np.ndarray) -> Finding | None:
    """Reports whether the boxes fit their photos better with x and y swapped."""
    sizes = scan.image_hw[scan.image_of]
    real = np.isfinite(boxes).all(axis=-1)
    outside = _leaves_photo(boxes, sizes) & real
    advice = f"write ymin, xmin, ymax, xmax each under its own key, and {AGAIN}"
    if outside.mean() > _MANY:
        still = _leaves_photo(swapped_in_photo(boxes, sizes), sizes) & real
        if still.sum() < 0.1 * outside.sum():
            found = (
                f"x and y are swapped: {outside.sum():,} of {len(boxes):,} boxes reach beyond "
                f"their photo as they are, {still.sum():,} with x and y swapped"
            )
            return Finding(ERROR, subject, found, advice)
    edges = edge_alignment(scan.photos, boxes, scan.image_of)
    if edges.is_swapped:
        found = (
            f"x and y are swapped: along {edges.boxes:,} boxes, edges in the photos are "
            f"{edges.as_given:.1f} times as strong as on average, no more than by chance "
            f"({edges.elsewhere:.1f}), but {edges.swapped:.1f} times with x and y swapped"
        )
        return Finding(ERROR, subject, found, advice)
    return None


def _share(chosen: np.ndarray) -> str:
    return f"{chosen.sum():,} of {len(chosen):,}"


def _first(scan: RecordScan, chosen: np.ndarray) -> str:
    return scan.place(scan.image_of[np.flatnonzero(chosen)[0]])


def objects_per_image_findings(
    scan: RecordScan, max_instances_per_image: int, *, skip_crowd: bool
) -> list[Finding]:
    """Finds images with more objects than training uses.

    Args:
        scan: The training records.
        max_instances_per_image: Boxes per image that training uses.
        skip_crowd: Whether boxes around crowds are removed first.
    """
    owners = scan.image_of[~scan.is_crowd] if skip_crowd else scan.image_of
    counts = np.bincount(owners, minlength=scan.num_read)
    most = int(counts.max(initial=0))
    found = f"at most {most:,} objects per image, {counts.mean():.1f} on average"
    over = counts > max_instances_per_image
    if not over.any():
        room = f"max_instances_per_image={max_instances_per_image}"
        return [Finding(OK, "objects per image", f"{found} ({room})")]
    found += (
        f"; {counted(int(over.sum()), 'image')} with more than "
        f"max_instances_per_image={max_instances_per_image}"
    )
    advice = f"objects beyond that are not learned: set max_instances_per_image={most}"
    return [Finding(WARNING, "objects per image", found, advice)]


def photo_findings(scan: RecordScan, image_hw: tuple[int, int]) -> list[Finding]:
    """Compares the sizes of photos and boxes with the network's input.

    Args:
        scan: The training records.
        image_hw: (height, width) of the input, pixels.
    """
    sizes = Counter(map(tuple, scan.image_hw.tolist()))
    shown = [f"{width}x{height}" for (height, width), _ in sizes.most_common()]
    target = f"{image_hw[1]}x{image_hw[0]}"
    scale = np.min(np.array(image_hw) / scan.image_hw, axis=-1)
    found = f"{listed(shown, 3)}, fitted into {target} (times {np.median(scale):.2g})"
    used = np.mean(np.prod(scan.image_hw * scale[:, None], axis=-1)) / np.prod(image_hw)
    advice = ""
    if used < 1.0 - _EMPTY_INPUT:
        found += f"; {1 - used:.0%} of the input stays empty"
        advice = f"image_size={_fitting_size(scan, image_hw)} would waste less"
    findings = [Finding(OK, "photo sizes", found, advice)]
    stated = (scan.stated_hw > 0).all(axis=-1)
    wrong = stated & (scan.stated_hw != scan.image_hw).any(axis=-1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        (height, width), (real_height, real_width) = scan.stated_hw[first], scan.image_hw[first]
        found = (
            f"{_share(wrong)} records state another size than their photo has, e.g. "
            f"{scan.place(first)}: {width}x{height}, not {real_width}x{real_height}"
        )
        advice = f"boxes may be wrong there too (photos turned by their EXIF tag?): {AGAIN}"
        findings.append(Finding(WARNING, "photo sizes", found, advice))
    return [*findings, *_tiny_findings(scan, scale, target)]


def _fitting_size(scan: RecordScan, image_hw: tuple[int, int]) -> str:
    """WIDTHxHEIGHT with about as many pixels as the input and the photos' shape."""
    height, width = np.median(scan.image_hw, axis=0)
    factor = np.sqrt(np.prod(image_hw) / (height * width))
    sides = [max(128, int(round(side * factor / 128) * 128)) for side in (width, height)]
    return f"{sides[0]}x{sides[1]}"


def _tiny_findings(scan: RecordScan, scale: np.ndarray, target: str) -> list[Finding]:
    boxes = scan.boxes_pixels_yxyx * scale[scan.image_of, None]
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    tiny = (sides > 0) & (sides < _TINY_PIXELS)
    if not len(tiny) or tiny.mean() < _MANY:
        return []
    found = f"{tiny.mean():.0%} of the boxes are narrower than {_TINY_PIXELS:g} pixels at {target}"
    return [Finding(WARNING, "photo sizes", found, "raise image_size, or cut the photos up")]
