"""Results file for the COCO test server: written atomically, checked against the image list.

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

# Rounded to hundredths of a pixel as in the original, which is enough for the server.
BOX_DECIMALS = 2
SCORE_DECIMALS = 5
_KEYS = {"image_id", "category_id", "bbox", "score"}
_SHOWN = 5


def read_image_info(path: str | os.PathLike[str]) -> dict[str, list[dict]]:
    """Reads `images` and `categories` (possibly empty) from an image info file such as COCO's
    `image_info_test-dev2017.json`, ignoring any annotations.

    Raises:
        UserError: The file cannot be read, is not JSON, or lists no images.
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
    """Writes the results file, or nothing if an error occurs.

    Args:
        path: Output path; its folder is created.
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
                    f"Image {image_ids[int(rows[0, 0])]} has detections that are not finite "
                    "(NaN or infinite): did the training of these weights finish properly?"
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
    present: Collection[int | str],
    expected: Collection[int | str],
    *,
    what: str,
    info_file: str | os.PathLike[str],
) -> None:
    """Checks that the images are exactly those of an image info file.

    Args:
        present: Image ids; duplicates are allowed.
        expected: Image ids of the info file.
        what: Source of `present`, as the start of the error message.
        info_file: Source of `expected`.

    Raises:
        UserError: Ids are not in the info file, or missing.
    """
    present, expected = set(present), set(expected)
    foreign = sorted(present - expected, key=str)
    if foreign:
        raise UserError(
            f"{what}: {len(foreign)} of {len(present)} images are not in {os.fspath(info_file)} "
            f"(ids {_listed(foreign)}): make the records from that file with "
            "dataset/create_coco_tfrecord.py (`image_info_file`)."
        )
    missing = sorted(expected - present, key=str)
    if missing:
        raise UserError(
            f"{what}: {len(missing)} of {len(expected)} images of {os.fspath(info_file)} are "
            f"missing (ids {_listed(missing)}), but the server requires all: make the records from "
            f"that file and evaluate all of them (`eval_samples={len(expected)}`) with "
            "nms_configs.score_thresh=0."
        )


def check_results_file(
    results_file: str | os.PathLike[str], info_file: str | os.PathLike[str]
) -> tuple[int, int]:
    """Checks a results file for errors that the server rejects, scores as 0 or does not notice.

    Args:
        results_file: Path of the results file.
        info_file: Image info file; the results must contain exactly its images.

    Returns:
        (number of detections, number of images).

    Raises:
        UserError: A file cannot be read; an entry is malformed (keys, types, non-finite numbers,
            negative sizes) or has a category that is not in the info file; or image ids are
            unknown or missing.
    """
    results_file = os.fspath(results_file)
    info = read_image_info(info_file)
    results = load_json(results_file)
    if not isinstance(results, list):
        raise UserError(f"{results_file} does not contain a list of detections.")
    categories = {category["id"] for category in info["categories"]}
    for position, entry in enumerate(results):
        fault = _fault(entry, categories)
        if fault:
            raise UserError(f"{results_file}: entry {position} {fault}.")
    present = {entry["image_id"] for entry in results}
    expected = {image["id"] for image in info["images"]}
    check_image_ids(present, expected, what=results_file, info_file=info_file)
    return len(results), len(present)


def _fault(entry: Any, categories: Collection[int]) -> str | None:
    """Describes what is wrong with an entry, or returns None."""
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        return f"must have the keys {', '.join(sorted(_KEYS))}, and no others"
    for key in ("image_id", "category_id"):
        if type(entry[key]) is not int:
            return f"has {key} {entry[key]!r}, which is not an integer"
    if categories and entry["category_id"] not in categories:
        return f"has category_id {entry['category_id']}, which is not in the info file"
    bbox = entry["bbox"]
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        return f"has bbox {bbox!r}, not four finite numbers x, y, width, height"
    if bbox[2] < 0 or bbox[3] < 0:
        return f"has bbox {bbox!r} with a negative size"
    if not _is_finite(entry["score"]):
        return f"has score {entry['score']!r}, which is not a finite number"
    return None


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _listed(ids: list) -> str:
    return ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
