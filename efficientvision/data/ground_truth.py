"""Reads COCO-format ground truth back from records, for evaluation without a JSON file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from efficientvision.data.checks import REPLACE
from efficientvision.data.coco_json import plain_id
from efficientvision.data.labels import find_labels
from efficientvision.data.record_files import FilePattern, iter_records, match_files
from efficientvision.data.records import DetectionExample, decode_example
from efficientvision.errors import UserError

# Advice for records without ids, such as Roboflow's exports. A JSON file does not help: it cannot
# contain ids that the records lack.
NAME_BY_BYTES = (
    "set regenerate_source_id=true, which names photos by their bytes, and remove `val_json_file`; "
    "or (for an exported model) make the records again"
)


def pixel_areas(example: DetectionExample) -> np.ndarray:
    """Areas in square pixels; PASCAL records store fractions of the image (all at most 1)."""
    areas = np.asarray(example.areas, np.float64)
    return np.where(areas <= 1.0, areas * example.height * example.width, areas)


def coco_ground_truth(
    file_pattern: FilePattern,
    class_names: Mapping[int, str] | None = None,
    *,
    max_examples: int | None = None,
) -> dict:
    """Collects every box of the records, including crowds and without a limit per image.

    Args:
        file_pattern: Pattern of the records.
        class_names: {id: name}; None: the ``labels.json`` beside them, or else the ids as names.
        max_examples: Use only this many records, the first in shard order, like the pipeline.

    Returns:
        A dict in COCO's format. Image ids are numbers if they can be, as in the JSON files that the
        converters read and write.

    Raises:
        UserError: A record has no source_id, so nothing could be matched to it, or two records have
            the same one.
    """
    names = dict(class_names or find_labels(file_pattern) or {})
    images: dict[int | str, dict] = {}
    annotations: list[dict] = []
    for image_id, example in _examples(file_pattern, max_examples, NAME_BY_BYTES):
        images[image_id] = {
            "id": image_id,
            "file_name": example.filename,
            "height": example.height,
            "width": example.width,
        }
        none = [0] * len(example.classes)
        for box, class_id, area, crowd, difficult in zip(
            example.boxes_yxyx,
            example.classes,
            pixel_areas(example),
            example.is_crowd or none,
            example.difficult or none,
            strict=True,
        ):
            ymin, xmin, ymax, xmax = (float(side) for side in box)
            names.setdefault(class_id, str(class_id))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": class_id,
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                    "area": float(area),
                    "iscrowd": int(crowd),
                    "difficult": int(difficult),
                    "ignore": 0,
                    "segmentation": [],
                }
            )
    return {
        "info": {},
        "licenses": [],
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in sorted(names.items())],
    }


def image_ids(file_pattern: FilePattern, *, max_examples: int | None = None) -> list[int | str]:
    """Returns the records' image ids as the COCO test server knows them, in order.

    Args:
        file_pattern: Pattern of the records.
        max_examples: Use only this many records, the first in shard order.

    Raises:
        UserError: As `coco_ground_truth`.
    """
    advice = "make the records with dataset/create_coco_tfrecord.py (`image_info_file`)"
    return [image_id for image_id, _ in _examples(file_pattern, max_examples, advice)]


def _examples(
    file_pattern: FilePattern, max_examples: int | None, advice: str
) -> Iterator[tuple[int | str, DetectionExample]]:
    """Yields the records with their image ids; a missing (`advice`) or repeated id is an error."""
    seen: set[int | str] = set()
    records = (
        (f"record {position} of {path}", serialized)
        for path in match_files(file_pattern)
        for position, serialized in enumerate(iter_records(path))
    )
    for place, serialized in itertools.islice(records, max_examples):
        try:
            example = decode_example(serialized)
        except UserError as error:
            raise UserError(f"{place}: {error.sentence.rstrip('.')}; {REPLACE}.") from error
        if not example.source_id:
            raise UserError(f"{place} ({example.filename}) has no image/source_id: {advice}.")
        image_id = image_id_of(example.source_id)
        if image_id in seen:
            raise UserError(
                f"Two records in {file_pattern!r} have the image id {image_id}: the pattern "
                "probably matches two data sets."
            )
        seen.add(image_id)
        yield image_id, example


def image_id_of(source_id: str | bytes) -> int | str:
    """Converts a source_id to an id of the JSON: a number if it is the plain text of one."""
    text = source_id.decode("utf8") if isinstance(source_id, bytes) else str(source_id)
    number = plain_id(text)
    return number if str(number) == text else text
