"""`--testdev_dir`: what is checked before hours of evaluation, and the file after them."""

from __future__ import annotations

import logging

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.ground_truth import image_ids
from efficientvision.errors import UserError
from efficientvision.output_folder import check_output_folder
from efficientvision.tasks.detection.coco_results import (
    check_image_ids,
    check_results_file,
    read_image_info,
)
from efficientvision.tasks.detection.training_task import TESTDEV_NAME

log = logging.getLogger(__name__)


def check_options(options: RunOptions) -> None:
    """Raises UserError for flags that exclude each other; opens no file."""
    if options.testdev_info_file and not options.testdev_dir:
        raise UserError(
            "`testdev_info_file` lists the images of a results file: give `testdev_dir`, the "
            "folder to write that into."
        )
    if options.testdev_info_file and options.mode != "eval":
        raise UserError("`testdev_info_file` is for `mode=eval`: results are written when done.")
    if options.testdev_dir and "val_json_file" in options.written and options.val_json_file:
        raise UserError(
            "`testdev_dir` measures nothing, so that `val_json_file` has no use: leave one of "
            "them out. The list of the images to be in the results is `testdev_info_file`."
        )


def check_before(
    options: RunOptions, *, score_thresh: float, ids_are_regenerated: bool = False
) -> None:
    """Finds out in seconds what would make the results useless.

    Args:
        options: Of the run.
        score_thresh: Detections of lower scores are left out.
        ids_are_regenerated: Images get other ids than those of the records.

    Raises:
        UserError: The folder cannot be written to; image ids would not be those of the records;
            or, where `--testdev_info_file` is given, it is missing, its images are not exactly
            those that will be evaluated, or images could be left without detections.
    """
    check_output_folder("testdev_dir", options.testdev_dir)
    if ids_are_regenerated:
        raise UserError(
            "regenerate_source_id=true gives images other ids than those that the test server "
            "knows: set it to false."
        )
    if not options.testdev_info_file:
        return
    if score_thresh:
        raise UserError(
            f"nms_configs.score_thresh={score_thresh:g} can leave images without any detection, "
            "and the results must have every image of `testdev_info_file`: add "
            "`hparams=nms_configs.score_thresh=0` (an exported model: export it again with "
            "`min_score_thresh=0`)."
        )
    info = read_image_info(options.testdev_info_file)
    check_image_ids(
        image_ids(options.val_file_pattern, max_examples=options.eval_samples),
        [image["id"] for image in info["images"]],
        what=f"The records {options.val_file_pattern} (`eval_samples={options.eval_samples}`)",
        info_file=options.testdev_info_file,
    )


def results_path(options: RunOptions) -> str:
    """Where the results are written."""
    return files.join(options.testdev_dir, TESTDEV_NAME)


def check_after(options: RunOptions) -> None:
    """Holds the results file against `--testdev_info_file`, if there is one, and says so.

    Raises:
        UserError: The test server would not take the file.
    """
    if not options.testdev_info_file:
        return
    rows, images = check_results_file(results_path(options), options.testdev_info_file)
    log.info(f"Checked: {rows} detections, and all {images} images of {options.testdev_info_file}.")
