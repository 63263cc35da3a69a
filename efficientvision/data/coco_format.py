"""COCO images and JSON annotations -> records.

Conventions kept from the original converter: labels are the raw category ids (1..90 for COCO, with
gaps) where these can be class ids; areas are COCO's, in pixels; crowd flags are kept (training
skips crowds, evaluation needs them). Boxes are clipped to their photo.
"""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.data.annotation_frame import (
    CUT,
    OUTSIDE,
    AnnotationFrame,
    cut_at_edge,
    find_frame,
)
from efficientvision.data.coco_images import CocoImage, find_images, unlisted
from efficientvision.data.coco_json import (
    CocoFile,
    read_captions,
    read_image_list,
    read_instances,
)
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.held_out import part_prefixes
from efficientvision.data.labels import LabelMap, differing_ids, write_labels
from efficientvision.data.outlines import object_mask
from efficientvision.data.photos import MAX_PIXELS, read_photo_file, store_photo
from efficientvision.data.record_files import write_shards
from efficientvision.data.truth_file import TrueImage, TrueObject, truth_path, write_truth
from efficientvision.errors import UserError

# Rounding lets published boxes exceed the edge; the ground truth does not change by that.
_OTHER_BOX_PIXELS = 1.0


def _mask_png(annotation: dict, frame: AnnotationFrame) -> bytes:
    mask = frame.mask(object_mask(annotation, *frame.stated_hw).astype(np.uint8))
    png = io.BytesIO()
    Image.fromarray(mask).save(png, format="PNG")
    return png.getvalue()


def build_record(
    image: CocoImage,
    labels: LabelMap,
    include_masks: bool = False,
    max_pixels: int | None = MAX_PIXELS,
) -> BuiltRecord:
    """Makes a record of one image and its annotations; `facts` is the `TrueImage`.

    Raises:
        UserError: The photo cannot be decoded, or its shape is not the one that the file states.
    """
    from efficientvision.data.records import DetectionExample, encode_example

    photo = store_photo(read_photo_file(image.path), repr(image.path), max_pixels=max_pixels)
    stated = (image.info.get("height"), image.info.get("width"))
    frame = find_frame(
        stated if all(stated) else None,
        (photo.height, photo.width),
        photo.orientation,
        repr(image.path),
    )
    counts = Counter([*photo.notes, *frame.notes])
    differs = (frame.turn, frame.stated_hw) != (1, frame.upright_hw)
    kept, boxes, areas = [], [], []
    for annotation in image.annotations:
        x, y, width, height = annotation["bbox"]
        (box,) = frame.boxes([[y, x, y + height, x + width]])
        cut, over = cut_at_edge(box, frame.upright_hw)
        counts[OUTSIDE if cut is None else CUT] += int(over)
        if cut is None:
            differs = True
            continue
        differs |= bool(np.abs(cut - box).max() >= _OTHER_BOX_PIXELS)
        box_area = float(np.prod(cut[2:] - cut[:2]))
        area = annotation.get("area")
        area = box_area if area is None else area * frame.area_factor
        kept.append(annotation)
        boxes.append(cut)
        areas.append(min(area, box_area) if over else area)
    serialized = encode_example(
        DetectionExample(
            encoded=photo.encoded,
            image_format=photo.image_format,
            filename=image.info["file_name"],
            source_id=str(image.info["id"]),
            height=photo.height,
            width=photo.width,
            boxes_yxyx=np.reshape(boxes, (-1, 4)),
            classes=[a["category_id"] for a in kept],
            class_names=[labels[a["category_id"]] for a in kept],
            areas=areas,
            is_crowd=[a.get("iscrowd", 0) for a in kept],
            masks=[_mask_png(a, frame) for a in kept] if include_masks else None,
            captions=image.captions,
        )
    )
    objects = (
        TrueObject(
            *(annotation["category_id"], xmin, ymin, xmax, ymax, area),
            is_crowd=annotation.get("iscrowd", 0),
            difficult=annotation.get("difficult", 0),
        )
        for annotation, (ymin, xmin, ymax, xmax), area in zip(
            kept, np.reshape(boxes, (-1, 4)).tolist(), areas, strict=True
        )
    )
    truth = TrueImage(
        image.info["id"],
        image.info["file_name"],
        photo.height,
        photo.width,
        tuple(objects),
        differs,
    )
    return BuiltRecord(serialized, tuple(counts.elements()), truth, photo.remarks)


def convert(
    image_dir: str,
    output_prefix: str,
    *,
    image_info_file: str | None = None,
    object_annotations_file: str | None = None,
    caption_annotations_file: str | None = None,
    include_masks: bool = False,
    skip_bad: bool = False,
    allow_outside: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    val_fraction: float | None = None,
    split_seed: int = 0,
    num_shards: int = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Writes the shards, and the class names if there are instances.

    Args:
        image_dir: Folder of the images.
        output_prefix: Path prefix of the shards.
        image_info_file: JSON with ``images`` (test-dev); lists the images to convert. If None, the
            instances do, or else the captions.
        object_annotations_file: Instances JSON.
        caption_annotations_file: Captions JSON.
        include_masks: Also store each object's mask as PNG.
        skip_bad: Skip images that are missing or cannot be used, and count them.
        allow_outside: Accept image paths that lead out of `image_dir`.
        max_pixels: Reject photos with more pixels; None: no limit.
        val_fraction: Hold out this share (0..1) of the images as a val part; see
            `held_out.part_prefixes`.
        split_seed: Seed of the split.
        num_shards: Number of shards per part; never more than images.
        num_workers: Number of processes; None: one per core.

    Returns:
        A report for each part.

    Raises:
        UserError: Something is wrong with the data.
    """
    sources = (image_info_file, object_annotations_file, caption_annotations_file)
    if not any(sources):
        raise UserError(
            "There is no list of images to convert: set `image_info_file`, "
            "`object_annotations_file` or `caption_annotations_file`."
        )
    if not files.is_folder(image_dir):
        raise UserError(f"`image_dir={image_dir}` is not a folder.")
    if include_masks and not object_annotations_file:
        raise UserError("`include_masks` needs `object_annotations_file`.")
    instances = read_instances(object_annotations_file) if object_annotations_file else None
    captions = read_captions(caption_annotations_file) if caption_annotations_file else None
    listed = read_image_list(image_info_file) if image_info_file else instances or captions
    read = [file for file in (instances, captions) if file]
    labels = instances.labels if instances else {}
    first = ConversionReport()
    for file in read:
        first.skipped.update(file.notes)
        first.details += file.details
    for file in read:
        first.skipped += unlisted(file, listed)
    images = find_images(
        image_dir, listed, instances, captions, first, skip_bad=skip_bad, outside=allow_outside
    )
    reports = []
    parts = part_prefixes(images, output_prefix, val_fraction, split_seed)
    for prefix, part in parts.items():
        report = first if not reports else ConversionReport()
        kept = write_part(
            part,
            prefix,
            labels,
            report,
            include_masks=include_masks,
            skip_bad=skip_bad,
            max_pixels=max_pixels,
            num_shards=num_shards,
            num_workers=num_workers,
        )
        if labels:
            report.details += differing_ids(prefix, labels, parts)
            report.sidecars = [write_labels(prefix, labels)]
        if instances:
            _write_other_truth(prefix, kept, instances, report)
        reports.append(report)
    return reports


def write_part(
    images: Sequence[CocoImage],
    prefix: str,
    labels: LabelMap,
    report: ConversionReport,
    *,
    include_masks: bool = False,
    skip_bad: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    num_shards: int | None = 32,
    num_workers: int | None = None,
) -> list[TrueImage]:
    """Writes the records of a part; returns the images in them.

    Args:
        images: Images of the part.
        prefix: Path prefix of the shards.
        labels: Class id -> name.
        report: Gets the files, the numbers and what was left out.
        include_masks, skip_bad, max_pixels, num_shards, num_workers: See `convert`.

    Raises:
        UserError: Images cannot be used.
    """
    written = write_shards(
        images,
        functools.partial(
            build_record, labels=labels, include_masks=include_masks, max_pixels=max_pixels
        ),
        prefix,
        num_shards=num_shards,
        num_workers=num_workers,
        skip_bad=skip_bad,
    )
    report.labels = labels
    report.add(written)
    kept = [image for image in written.facts if image]
    report.num_images = len(kept)
    report.num_boxes = sum(len(image.objects) for image in kept)
    if report.num_boxes and all(o.is_crowd for image in kept for o in image.objects):
        report.details.append(
            "all objects are crowds (iscrowd 1), which training skips: set iscrowd to 0 "
            "for single objects"
        )
    return kept


def _write_other_truth(
    prefix: str, images: list[TrueImage], instances: CocoFile, report: ConversionReport
) -> None:
    """Writes a ground truth file, and reports it, if the instances file no longer fits."""
    differs = any(image.differs for image in images)
    if not (instances.is_renumbered or differs):
        # Left over from an earlier conversion.
        files.remove(truth_path(prefix))
        return
    path = write_truth(prefix, images, instances.labels)
    report.sidecars.append(path)
    if differs:
        report.details.append(
            f"evaluate these records with `val_json_file={path}` or without a JSON file, not with "
            f"{instances.path}: some of its boxes were turned, scaled, clipped or left out"
        )
