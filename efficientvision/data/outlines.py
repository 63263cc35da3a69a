"""Draws masks from outlines of objects in COCO's forms.

pycocotools draws polygons. Run lengths are decoded here: its decoder trusts them, and writes beyond
the mask if a file states more pixels than the image has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from efficientvision.errors import UserError

_LEAST_COORDINATES = 6  # Of a polygon; pycocotools takes four numbers as a box.


def object_mask(annotation: dict, height: int, width: int) -> np.ndarray:
    """Draws an object from its polygons or run lengths: uint8 [height, width] of 0 and 1.

    Raises:
        UserError: The outline makes no sense.
    """
    segmentation = annotation.get("segmentation") or []
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    try:
        if isinstance(segmentation, dict):
            return _from_runs(segmentation, height, width)
        return _from_polygons(segmentation, height, width)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise UserError(
            f"annotation {annotation.get('id')} has no valid outline ({error})."
        ) from error


def _from_polygons(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    from pycocotools import mask as mask_api

    # pycocotools needs memory for every pixel along an edge.
    limit = 10 * (height + width)
    for polygon in polygons:
        if len(polygon) < _LEAST_COORDINATES:
            raise ValueError("a polygon with fewer than three points")
        if not np.all(np.abs(np.asarray(polygon, np.float64)) <= limit):
            raise ValueError("a polygon far outside its image")
    return mask_api.decode(mask_api.frPyObjects(polygons, height, width)).max(axis=-1)


def _from_runs(segmentation: dict[str, Any], height: int, width: int) -> np.ndarray:
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"run lengths for {segmentation['size']}, not {height} x {width}")
    counts = segmentation["counts"]
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths of {runs.sum()} pixels for {height} x {width}")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    """Decodes COCO's compressed run lengths: five bits a character, the third on as differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("compressed run lengths with an invalid character")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
