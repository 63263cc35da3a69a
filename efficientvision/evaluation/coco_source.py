"""What an evaluation of boxes is measured against: a COCO file, the records, or test-dev's list."""

from __future__ import annotations

import os
from collections.abc import Mapping

from efficientvision.data.ground_truth import coco_ground_truth, image_ids
from efficientvision.data.record_files import FilePattern
from efficientvision.errors import UserError
from efficientvision.evaluation.coco import CocoEvaluator
from efficientvision.evaluation.coco_results import read_image_info


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
        UserError: The file cannot be read, or the records have no ids, or one twice.
    """
    truth = ground_truth_json
    if not truth and not ids_are_regenerated:
        truth = coco_ground_truth(records, class_names, max_examples=max_examples)
    return CocoEvaluator(truth or None, class_names, records=str(records))


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
