"""The results file of the COCO test server: written whole, and checked against the image list.

A list of {image_id, category_id, bbox: [x, y, width, height], score}: boxes in pixels of the photo.
Format: https://cocodataset.org/#format-results
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.data.coco_json import read_instances
from efficientvision.data.json_values import load_json
from efficientvision.errors import UserError

# What the server needs and no more: hundredths of a pixel, as in the original.
BOX_DECIMALS = 2
SCORE_DECIMALS = 5
_KEYS = {"image_id", "category_id", "bbox", "score"}
_SHOWN = 5


def read_image_info(path: str | os.PathLike[str]) -> dict[str, list[dict]]:
    """The `images` and `categories` (perhaps none) of an image info file, such as COCO's
    `image_info_test-dev2017.json`; annotations, where there are any, are left out.

    Raises:
        UserError: The file cannot be read, is no JSON, or lists no images.
    """
    path = os.fspath(path)
    truth = read_instances(path, required=()).as_ground_truth()
    if not truth["images"]:
        raise UserError(f"{path} lists no images.")
    return {"images": truth["images"], "categories": truth["categories"]}


def write_results(
    path: str | os.PathLike[str],
    detections: Iterable[np.ndarray],
    image_ids: Mapping[int, int | str],
) -> None:
    """Writes the file, or nothing where an error comes between.

    Args:
        path: Of the file; its folder is made.
        detections: float [n, 7] arrays: image number, x, y, width, height (pixels), score, class.
        image_ids: Image number -> id.

    Raises:
        UserError: A number is not finite, which JSON cannot express.
    """
    with files.writing(path) as file:
        separator = b"["
        for rows in detections:
            if not np.isfinite(rows).all():
                raise UserError(
                    f"Image {image_ids[int(rows[0, 0])]} has detections that are no finite numbers "
                    "(NaN or infinite): are the weights those of a whole training?"
                )
            for row in rows.tolist():
                entry = {
                    "image_id": image_ids[int(row[0])],
                    "category_id": int(row[6]),
                    "bbox": [round(side, BOX_DECIMALS) for side in row[1:5]],
                    "score": round(row[5], SCORE_DECIMALS),
                }
                file.write(separator + json.dumps(entry).encode("utf8"))
                separator = b",\n"
        file.write(b"[]" if separator == b"[" else b"]")


def check_image_ids(
    found: Collection[int | str],
    expected: Collection[int | str],
    *,
    what: str,
    info_file: str | os.PathLike[str],
) -> None:
    """Makes sure that images are exactly those of an image info file.

    Args:
        found: Ids of the images; repetitions do not matter.
        expected: Ids of the info file.
        what: Where `found` is from, to begin a sentence with.
        info_file: Where `expected` is from.

    Raises:
        UserError: Ids are foreign to the info file, or missing.
    """
    found, expected = set(found), set(expected)
    foreign = sorted(found - expected, key=str)
    if foreign:
        raise UserError(
            f"{what}: {len(foreign)} of {len(found)} images are not in {os.fspath(info_file)} "
            f"(ids {_listed(foreign)}): make the records from that very file with "
            "dataset/create_coco_tfrecord.py --image_info_file."
        )
    missing = sorted(expected - found, key=str)
    if missing:
        raise UserError(
            f"{what}: {len(missing)} of {len(expected)} images of {os.fspath(info_file)} are "
            f"missing (ids {_listed(missing)}), and the server wants all: make the records from "
            f"that very file, evaluate them all (`eval_samples={len(expected)}`), with "
            "nms_configs.score_thresh=0."
        )


def check_results_file(
    results_file: str | os.PathLike[str], info_file: str | os.PathLike[str]
) -> tuple[int, int]:
    """Checks what the server would refuse, or score as nothing, and what it would not notice.

    Args:
        results_file: A results file.
        info_file: The image info file whose images it must have, all of them and no others.

    Returns:
        How many detections, of how many images.

    Raises:
        UserError: A file cannot be read; an entry is malformed (keys, types, numbers that are not
            finite, negative sizes) or of a category that the info file does not have; or image
            ids are foreign or missing.
    """
    results_file = os.fspath(results_file)
    info = read_image_info(info_file)
    results = load_json(results_file)
    if not isinstance(results, list):
        raise UserError(f"{results_file} holds no list of detections.")
    categories = {category["id"] for category in info["categories"]}
    for position, entry in enumerate(results):
        fault = _fault(entry, categories)
        if fault:
            raise UserError(f"{results_file}: entry {position} {fault}.")
    found = {entry["image_id"] for entry in results}
    expected = {image["id"] for image in info["images"]}
    check_image_ids(found, expected, what=results_file, info_file=info_file)
    return len(results), len(found)


def _fault(entry: Any, categories: Collection[int]) -> str | None:
    """What is wrong with an entry, or None."""
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        return f"must have the keys {', '.join(sorted(_KEYS))}, and no others"
    for key in ("image_id", "category_id"):
        if type(entry[key]) is not int:
            return f"has {key} {entry[key]!r}, which is no whole number"
    if categories and entry["category_id"] not in categories:
        return f"has category_id {entry['category_id']}, which is none of the info file's"
    bbox = entry["bbox"]
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        return f"has bbox {bbox!r}, not four finite numbers x, y, width, height"
    if bbox[2] < 0 or bbox[3] < 0:
        return f"has bbox {bbox!r} of negative size"
    if not _is_finite(entry["score"]):
        return f"has score {entry['score']!r}, which is no finite number"
    return None


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _listed(ids: list) -> str:
    return ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
