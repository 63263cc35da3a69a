"""What an evaluation of boxes is measured against: a COCO file, the records, or test-dev's list."""

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
    """An evaluator that computes metrics.

    Args:
        records: TFRecord files.
        class_names: Class number -> name.
        ground_truth_json: COCO annotation file; None: the boxes of the records.
        max_examples: Only the first so many records.
        ids_are_regenerated: The records' ids do not last: the boxes come with the images.

    Raises:
        UserError: The file cannot be read, or is that of other pictures, or the records have no
            ids, or one twice.
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
    """What reading the ground truth left out or changed, for people."""
    lines = [*file.details, *(f"{count} {reason}" for reason, count in sorted(file.notes.items()))]
    return [f"{file.path}: {line}" for line in lines]


def for_test_server(
    records: FilePattern,
    class_names: Mapping[int, str] | None,
    info_file: str | os.PathLike[str] | None = None,
    *,
    max_examples: int | None = None,
) -> CocoEvaluator:
    """An evaluator whose detections are written for the COCO test server.

    Args:
        records: TFRecord files.
        class_names: Class number -> name.
        info_file: COCO's image info file, whose images and categories are those of the results;
            None: every image of the records.
        max_examples: Only the first so many records.

    Raises:
        UserError: The file cannot be read, or an image of the records has a name for an id.
    """
    if info_file:
        truth = read_image_info(info_file)
        names = {} if truth["categories"] else class_names
        return CocoEvaluator(truth, names, records=str(records))
    ids = image_ids(records, max_examples=max_examples)
    named = [image_id for image_id in ids if not isinstance(image_id, int)]
    if named:
        raise UserError(
            f"The test server knows images by numbers, and {records} has the image id "
            f"{named[0]!r}: make the records with dataset/create_coco_tfrecord.py "
            "--image_info_file."
        )
    truth = {"images": [{"id": image_id} for image_id in ids], "categories": []}
    return CocoEvaluator(truth, class_names, records=str(records))
