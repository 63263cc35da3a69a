"""Chooses the ground truth of a box evaluation: a COCO file, the records, or test-dev's list."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from efficientvision.data.coco_json import CocoFile
from efficientvision.data.ground_truth import coco_ground_truth, image_ids
from efficientvision.data.record_files import FilePattern
from efficientvision.data.truth_agreement import check_agreement
from efficientvision.errors import UserError
from efficientvision.tasks.detection.coco import CocoEvaluator, read_ground_truth
from efficientvision.tasks.detection.coco_results import read_image_info

log = logging.getLogger(__name__)


def measuring(
    records: FilePattern,
    class_names: Mapping[int, str] | None,
    ground_truth_json: str | os.PathLike[str] | None = None,
    *,
    max_examples: int | None = None,
    ids_are_regenerated: bool = False,
) -> CocoEvaluator:
    """Returns an evaluator that computes metrics.

    Args:
        records: TFRecord files.
        class_names: Class number -> name.
        ground_truth_json: COCO annotation file; None uses the boxes in the records.
        max_examples: Use only the first N records.
        ids_are_regenerated: Image ids are regenerated, so the boxes must come with the images.

    Raises:
        UserError: The file cannot be read or belongs to other images, or the records have missing
            or duplicate ids.
    """
    truth = None
    if ground_truth_json:
        truth = read_ground_truth(ground_truth_json)
        for line in (*_left_out(truth), check_agreement(truth, records)):
            if line:
                log.info(line)
    elif not ids_are_regenerated:
        truth = coco_ground_truth(records, class_names, max_examples=max_examples)
    return CocoEvaluator(truth, class_names, records=str(records))


def _left_out(file: CocoFile) -> list[str]:
    """Lists what reading the ground truth dropped or changed."""
    lines = [*file.details, *(f"{count} {reason}" for reason, count in sorted(file.notes.items()))]
    return [f"{file.path}: {line}" for line in lines]


def for_test_server(
    records: FilePattern,
    class_names: Mapping[int, str] | None,
    info_file: str | os.PathLike[str] | None = None,
    *,
    max_examples: int | None = None,
) -> CocoEvaluator:
    """Returns an evaluator whose detections are written for the COCO test server.

    Args:
        records: TFRecord files.
        class_names: Class number -> name.
        info_file: COCO image info file that defines the images and categories of the results; None
            uses every image of the records.
        max_examples: Use only the first N records.

    Raises:
        UserError: The file cannot be read, or an image id of the records is not a number.
    """
    if info_file:
        truth = read_image_info(info_file)
        names = {} if truth["categories"] else class_names
        return CocoEvaluator(truth, names, records=str(records))
    ids = image_ids(records, max_examples=max_examples)
    named = [image_id for image_id in ids if not isinstance(image_id, int)]
    if named:
        raise UserError(
            f"The test server identifies images by number, but {records} has the image id "
            f"{named[0]!r}: make the records with dataset/create_coco_tfrecord.py "
            "(`image_info_file`)."
        )
    truth = {"images": [{"id": image_id} for image_id in ids], "categories": []}
    return CocoEvaluator(truth, class_names, records=str(records))
