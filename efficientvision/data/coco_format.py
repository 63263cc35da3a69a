"""COCO images and JSON annotations -> records.

Conventions kept from the original converter: labels are the raw category ids (1..90 for COCO, with
gaps); annotations without size or leaving the image are skipped; areas are COCO's, in pixels; crowd
flags are kept (training skips crowds, evaluation needs them).
"""

from __future__ import annotations

import functools
import io
import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap, write_labels
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

OUTSIDE = "annotations leaving their image skipped"
EMPTY = "annotations without width or height skipped"
_LEAST_COORDINATES = 6  # Of a polygon; pycocotools takes four numbers for a box.


@dataclass(frozen=True)
class CocoImage:
    """One entry of ``images`` with what the annotation files say about it."""

    path: str
    info: dict
    annotations: list[dict]
    captions: list[str] | None


def load_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: missing, or no JSON.
    """
    try:
        return json.loads(files.read_text(path))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no valid JSON: {error}.") from error


def read_json(path: str, *required: str) -> dict:
    """Reads an annotation file.

    Raises:
        UserError: missing, no JSON, or without one of the required lists.
    """
    content = load_json(path)
    for key in required:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path} has no list {key!r}; is it a COCO annotation file?")
    return content


def _check_annotation(annotation: dict, info: dict, labels: LabelMap, path: str) -> str | None:
    """Why the annotation is left out, or None to keep it."""
    try:
        x, y, width, height = (float(v) for v in annotation["bbox"])
        category = annotation["category_id"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: annotation {annotation.get('id')} has no valid bbox [x, y, width, height] "
            "and category_id."
        ) from error
    if category not in labels:
        raise UserError(
            f"{path}: annotation {annotation.get('id')} has category_id {category}, "
            "which is not among the file's categories."
        )
    if width <= 0 or height <= 0:
        return EMPTY
    if x < 0 or y < 0 or x + width > info["width"] or y + height > info["height"]:
        return OUTSIDE
    return None


def read_instances(path: str) -> tuple[list[dict], dict[int, list[dict]], LabelMap]:
    """(images, annotations by image id, class names) of an instances file."""
    content = read_json(path, "images", "annotations", "categories")
    labels = {int(c["id"]): str(c["name"]) for c in content["categories"]}
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation.get("image_id")].append(annotation)
    return content["images"], by_image, dict(sorted(labels.items()))


def object_mask(annotation: dict, height: int, width: int) -> np.ndarray:
    """Where an object is: uint8 [height, width] of 0 and 1, from its polygons or run lengths.

    Raises:
        UserError: an outline that makes no sense.
    """
    from pycocotools import mask as mask_api

    segmentation = annotation.get("segmentation") or []
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    try:
        if isinstance(segmentation, dict):
            if list(segmentation["size"]) != [height, width]:
                raise ValueError(f"run lengths of {segmentation['size']}, not {height} x {width}")
            rle = segmentation
            if isinstance(rle["counts"], list):
                rle = mask_api.frPyObjects(rle, height, width)
            return mask_api.decode(rle)
        if any(len(polygon) < _LEAST_COORDINATES for polygon in segmentation):
            raise ValueError("a polygon of fewer than three points")
        return mask_api.decode(mask_api.frPyObjects(segmentation, height, width)).max(axis=-1)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"annotation {annotation.get('id')} has no valid outline ({error})."
        ) from error


def _mask_png(annotation: dict, height: int, width: int) -> bytes:
    mask = object_mask(annotation, height, width)
    png = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(png, format="PNG")
    return png.getvalue()


def encode_image(image: CocoImage, labels: LabelMap, include_masks: bool) -> bytes:
    """One image and its annotations as a serialised record."""
    from efficientvision.data.records import DetectionExample, encode_example, image_format_of

    encoded = files.read_bytes(image.path)
    height, width = int(image.info["height"]), int(image.info["width"])
    annotations = image.annotations
    boxes = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    x, y, w, h = boxes.T
    return encode_example(
        DetectionExample(
            encoded=encoded,
            image_format=image_format_of(encoded, image.path),
            filename=image.info["file_name"],
            source_id=str(image.info["id"]),
            height=height,
            width=width,
            boxes_yxyx=np.stack([y, x, y + h, x + w], axis=-1),
            classes=[a["category_id"] for a in annotations],
            class_names=[labels[a["category_id"]] for a in annotations],
            areas=[a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations],
            is_crowd=[int(a.get("iscrowd", 0)) for a in annotations],
            masks=[_mask_png(a, height, width) for a in annotations] if include_masks else None,
            captions=image.captions,
        )
    )


def convert(
    image_dir: str,
    output_prefix: str,
    *,
    image_info_file: str | None = None,
    object_annotations_file: str | None = None,
    caption_annotations_file: str | None = None,
    include_masks: bool = False,
    num_shards: int = 32,
    num_workers: int | None = None,
) -> ConversionReport:
    """Writes the shards, and the class names when instances are given.

    Args:
        image_dir: folder of the images.
        output_prefix: path prefix of the shards.
        image_info_file: JSON with ``images`` (test-dev); the list of images comes from here if
            given, else from the instances, else from the captions.
        object_annotations_file: instances JSON.
        caption_annotations_file: captions JSON.
        include_masks: also store each object's mask as PNG.
        num_shards: at most; never more than images.
        num_workers: processes; None: one per core.

    Raises:
        UserError: anything wrong with the data, in words.
    """
    sources = (image_info_file, object_annotations_file, caption_annotations_file)
    if not any(sources):
        raise UserError(
            "Nothing says which images to convert: give --image_info_file, "
            "--object_annotations_file or --caption_annotations_file."
        )
    if not files.is_folder(image_dir):
        raise UserError(f"--image_dir={image_dir} is not a folder.")
    if include_masks and not object_annotations_file:
        raise UserError("--include_masks needs --object_annotations_file.")
    infos, by_image, labels, captions = None, {}, {}, None
    if object_annotations_file:
        infos, by_image, labels = read_instances(object_annotations_file)
    if caption_annotations_file:
        content = read_json(caption_annotations_file, "images", "annotations")
        infos = content["images"] if infos is None else infos
        captions = defaultdict(list)
        for annotation in content["annotations"]:
            captions[annotation.get("image_id")].append(str(annotation.get("caption", "")))
    if image_info_file:
        infos = read_json(image_info_file, "images")["images"]
    list_file = next(path for path in sources if path)
    report = ConversionReport(labels=labels)
    images = []
    for info in infos or []:
        missing = {"id", "file_name", "height", "width"} - set(info)
        if missing:
            raise UserError(f"{list_file}: an image has no {', '.join(sorted(missing))}: {info}.")
        path = os.path.join(image_dir, info["file_name"])
        if not files.is_file(path):
            raise UserError(f"The image {path} is listed in {list_file} but does not exist.")
        kept = _keep(by_image.get(info["id"], []), info, labels, object_annotations_file, report)
        sentences = None if captions is None else captions.get(info["id"], [])
        images.append(CocoImage(path, info, kept, sentences))
    report.num_images = len(images)
    report.num_boxes = sum(len(image.annotations) for image in images)
    build = functools.partial(encode_image, labels=labels, include_masks=include_masks)
    report.files = write_shards(
        images, build, output_prefix, num_shards=num_shards, num_workers=num_workers
    )
    if labels:
        report.sidecars = [write_labels(output_prefix, labels)]
    return report


def _keep(
    annotations: list[dict], info: dict, labels: LabelMap, path: str, report: ConversionReport
) -> list[dict]:
    reasons: Counter = Counter()
    kept = []
    for annotation in annotations:
        reason = _check_annotation(annotation, info, labels, path)
        if reason:
            reasons[reason] += 1
        else:
            kept.append(annotation)
    report.skipped.update(reasons)
    return kept
