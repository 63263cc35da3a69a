"""COCO images and JSON annotations -> records.

Conventions kept from the original converter: labels are the raw category ids (1..90 for COCO, with
gaps) where they can be class ids; areas are COCO's, in pixels; crowd flags are kept (training skips
crowds, evaluation needs them). Boxes over the edge of their photo are cut there.
"""

from __future__ import annotations

import functools
import io
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.data.annotation_frame import AnnotationFrame, find_frame
from efficientvision.data.coco_json import (
    CocoFile,
    read_captions,
    read_image_list,
    read_instances,
)
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.held_out import part_prefixes
from efficientvision.data.labels import LabelMap, write_labels
from efficientvision.data.outlines import object_mask
from efficientvision.data.photos import MAX_PIXELS, read_photo_file, store_photo
from efficientvision.data.picture_folders import spellings
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

OUTSIDE = "annotations outside of their image, or with less than a pixel in it, skipped"
CUT = "boxes that passed the edge of their image cut there"
MISSING = "images that do not exist left out"
# A rounding error of float32 coordinates.
_SLACK = 1e-3


@dataclass(frozen=True)
class CocoImage:
    """One entry of ``images`` with what the annotation files say about it."""

    path: str
    info: dict
    annotations: list[dict]
    captions: list[str] | None


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
    """One image and its annotations as a record; `facts` is the number of its boxes and crowds.

    Raises:
        UserError: the photo cannot be decoded, or has another shape than the file states.
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
    kept, boxes, areas = [], [], []
    for annotation in image.annotations:
        x, y, width, height = annotation["bbox"]
        (box,) = frame.boxes([[y, x, y + height, x + width]])
        cut = np.clip(box, 0, [photo.height, photo.width] * 2)
        over = np.abs(cut - box).max() > _SLACK
        if over and (cut[2:] - cut[:2]).min() < 1:
            counts[OUTSIDE] += 1
            continue
        counts[CUT] += int(over)
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
    crowds = sum(bool(a.get("iscrowd", 0)) for a in kept)
    return BuiltRecord(serialized, tuple(counts.elements()), (len(kept), crowds), photo.remarks)


def encode_image(image: CocoImage, labels: LabelMap, include_masks: bool) -> bytes:
    """The record that `build_record` makes, alone."""
    return build_record(image, labels, include_masks).serialized


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
    """Writes the shards, and the class names when instances are given.

    Args:
        image_dir: folder of the images.
        output_prefix: path prefix of the shards.
        image_info_file: JSON with ``images`` (test-dev); the list of images comes from here if
            given, else from the instances, else from the captions.
        object_annotations_file: instances JSON.
        caption_annotations_file: captions JSON.
        include_masks: also store each object's mask as PNG.
        skip_bad: leave out images that are missing or cannot be used, and count them.
        allow_outside: take images by paths that lead out of `image_dir`.
        max_pixels: refuse larger photos; None: no limit.
        val_fraction: hold out this share (0..1) of the images as a val part; see
            `held_out.part_prefixes`.
        split_seed: of the choice.
        num_shards: of each part, at most; never more than images.
        num_workers: processes; None: one per core.

    Returns:
        A report of each part.

    Raises:
        UserError: anything wrong with the data, in words.
    """
    sources = (image_info_file, object_annotations_file, caption_annotations_file)
    if not any(sources):
        raise UserError(
            "Nothing says which images to convert: give `image_info_file`, "
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
    images = _find_images(
        image_dir, listed, instances, captions, first, skip_bad=skip_bad, outside=allow_outside
    )
    build = functools.partial(
        build_record, labels=labels, include_masks=include_masks, max_pixels=max_pixels
    )
    reports = []
    for prefix, part in part_prefixes(images, output_prefix, val_fraction, split_seed).items():
        report = first if not reports else ConversionReport()
        report.labels = labels
        written = write_shards(
            part,
            build,
            prefix,
            num_shards=num_shards,
            num_workers=num_workers,
            skip_bad=skip_bad,
        )
        report.add(written)
        facts = [fact for fact in written.facts if fact]
        report.num_images = len(facts)
        report.num_boxes = sum(boxes for boxes, _ in facts)
        if report.num_boxes and report.num_boxes == sum(crowds for _, crowds in facts):
            report.details.append(
                "all objects are crowds (iscrowd 1), which training leaves out: set iscrowd to 0 "
                "for single objects"
            )
        if labels:
            report.sidecars = [write_labels(prefix, labels)]
        reports.append(report)
    return reports


def _find_images(
    image_dir: str,
    listed: CocoFile,
    instances: CocoFile | None,
    captions: CocoFile | None,
    report: ConversionReport,
    *,
    skip_bad: bool,
    outside: bool,
) -> list[CocoImage]:
    images, missing = [], []
    for info in listed.images:
        if info["file_name"] is None:
            raise UserError(f"{listed.path}: the image {info['id']!r} has no file_name.")
        path = image_path(image_dir, info["file_name"], listed.path, outside)
        if path is None:
            missing.append(info["file_name"])
            continue
        annotations = instances.by_image.get(info["id"], []) if instances else []
        sentences = None if captions is None else captions.captions.get(info["id"], [])
        images.append(CocoImage(path, info, annotations, sentences))
    if missing and not skip_bad:
        more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
        raise UserError(
            f"The image {os.path.join(image_dir, missing[0])} is listed in {listed.path} but does "
            f"not exist{more}. `skip_bad` leaves such images out."
        )
    if missing:
        report.skipped[MISSING] += len(missing)
        report.details.append(f"the first image that does not exist: {missing[0]}")
    return images


def image_path(image_dir: str, name: str, list_file: str, outside: bool) -> str | None:
    """The path of an image that a file lists; None: there is no such file."""
    for candidate in spellings(name):
        leads_out = os.path.isabs(candidate) or ".." in candidate.split("/")
        if leads_out and not outside:
            raise UserError(
                f"{list_file} lists the image {name!r}, whose path leads out of the images' "
                "folder: `allow_outside` takes it all the same."
            )
        path = os.path.join(image_dir, candidate)
        if files.is_file(path):
            return path
    return None
