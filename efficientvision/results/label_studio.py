"""Import files of Label Studio: tasks with predictions, and the labelling interface for them."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from efficientvision import files

Photo = Mapping[str, Any]

# Type of a region -> tags of the labelling interface: around the labels, and of one label.
_TAGS = {
    "rectanglelabels": ("RectangleLabels", "Label"),
    "brushlabels": ("BrushLabels", "Label"),
    "choices": ("Choices", "Choice"),
}
# Bits of the numbers that state the length of a run, by its size class.
_LENGTH_BITS = (3, 4, 8, 16)


def write_label_studio(
    path: str,
    photos: Iterable[tuple[Photo, Sequence[Photo]]],
    names: Mapping[int, str],
    *,
    prefix: str,
    model_version: str,
) -> None:
    """Writes a list of tasks, one photo at a time.

    Args:
        path: Path of the JSON file.
        photos: Pairs of a line of a `Journal` and its annotations to write.
        names: Class number -> name.
        prefix: Precedes the photo's path in the URL that Label Studio opens.
        model_version: Name of the model.
    """
    with files.writing(path) as file:
        file.write(b"[")
        for number, (photo, found) in enumerate(photos):
            url = prefix + urllib.parse.quote(photo["photo"], errors="surrogateescape")
            regions = list(_regions(photo, found, names))
            scores = [one["score"] for one in found if "score" in one]
            prediction = {"model_version": model_version, "result": regions}
            if scores:
                prediction["score"] = round(sum(scores) / len(scores), 5)
            task = {"data": {"image": url}, "predictions": [prediction]}
            file.write(f"{',' if number else ''}\n{json.dumps(task)}".encode())
        file.write(b"\n]\n")


def labelling_interface(kind: str, names: Mapping[int, str], *, several: bool) -> str:
    """Returns the XML of a Label Studio project for the tasks.

    Args:
        kind: `region_kind` of the predictions.
        names: Class number -> name.
        several: Whether a photo can have several classes.
    """
    around, inside = _TAGS[kind]
    more = f' choice="{"multiple" if several else "single"}"' if kind == "choices" else ""
    labels = "".join(f"    <{inside} value={quoteattr(name)}/>\n" for name in names.values())
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <{around} name="label" toName="image"{more}>\n{labels}  </{around}>\n</View>\n'
    )


def region_kind(*, boxes: bool, areas: bool) -> str:
    """Label Studio's type of regions for boxes, areas, or the classes of a photo."""
    return "rectanglelabels" if boxes else "brushlabels" if areas else "choices"


def _regions(
    photo: Photo, annotations: Sequence[Photo], names: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    labels = [names.get(one["category_id"], f"class {one['category_id']}") for one in annotations]
    common: dict[str, Any] = {"from_name": "label", "to_name": "image"}
    if annotations and "bbox" not in annotations[0]:
        value = {"choices": labels}
        yield {"id": "p0", "type": "choices", **common, "value": value}
        return
    width, height = photo["width"], photo["height"]
    common |= {"original_width": width, "original_height": height, "image_rotation": 0}
    for number, (annotation, label) in enumerate(zip(annotations, labels, strict=True)):
        if annotation["segmentation"]:
            kind, value = "brushlabels", _brush(annotation["segmentation"])
        else:
            kind, value = "rectanglelabels", _rectangle(annotation["bbox"], width, height)
        score = {"score": annotation["score"]} if "score" in annotation else {}
        value[kind] = [label]
        yield {"id": f"p{number}", "type": kind, **common, "value": value, **score}


def _rectangle(bbox: Sequence[float], width: int, height: int) -> dict[str, Any]:
    """A box in percent of the photo's sides."""
    x, y, w, h = bbox
    shares = {"x": x / width, "y": y / height, "width": w / width, "height": h / height}
    return {name: round(100 * share, 4) for name, share in shares.items()} | {"rotation": 0}


def _brush(segmentation: Mapping[str, Any]) -> dict[str, Any]:
    from pycocotools import mask as mask_api

    return {"format": "rle", "rle": brush_runs(mask_api.decode(segmentation))}


def brush_runs(mask: np.ndarray) -> list[int]:
    """Encodes a mask as the bytes of Label Studio's brush.

    They are run lengths (the rle-pack format of thi.ng/umbrella) of the picture's RGBA bytes, each
    0 or 255: their number in 32 bits, bits per value less 1 in 5, the four `_LENGTH_BITS` less 1 in
    4 each; then for every run a bit 1, its size class in 2 bits, its length less 1, and the value.

    Args:
        mask: uint8 [H, W] of 0 and 1.
    """
    pixels = mask.ravel()
    edges = np.flatnonzero(np.diff(pixels)) + 1
    starts = [0, *edges.tolist()]
    lengths = np.diff([*starts, len(pixels)]).tolist()
    bits = [f"{4 * len(pixels):032b}", f"{7:05b}", *(f"{n - 1:04b}" for n in _LENGTH_BITS)]
    longest = 1 << _LENGTH_BITS[-1]
    for start, length in zip(starts, lengths, strict=True):
        value = f"{255 * int(pixels[start]):08b}"
        left = 4 * length
        while left:
            run = min(left, longest)
            size = next(i for i, n in enumerate(_LENGTH_BITS) if run <= 1 << n)
            bits.append(f"1{size:02b}{run - 1:0{_LENGTH_BITS[size]}b}{value}")
            left -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
