"""Draws a detector's worst mistakes: crops of the photos with ground truth and detections."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from efficientvision.evaluation.confusion import Outcomes
from efficientvision.evaluation.object_matching import Collected, corners_yxyx
from efficientvision.evaluation.object_mistakes import CONFUSED, MISSED, ObjectMistake
from efficientvision.tasks.training_task import Mistake
from efficientvision.visualize.draw import LabelledBox, draw_boxes
from efficientvision.visualize.sheet import Picture, fit

# Colours that colour-blind people can distinguish.
TRUTH_COLOR, DETECTION_COLOR = (86, 196, 255), (255, 150, 30)
_SIDE = 420
# Sides of the crop: at least this many sides of the boxes, and this share of the photo.
_CONTEXT, _LEAST_SHARE = 2.2, 0.3


def draw_mistake(
    mistake: ObjectMistake,
    name: str,
    photo: np.ndarray,
    collected: Collected,
    outcome: Outcomes,
) -> Mistake:
    """Draws a mistake and describes it.

    The boxes in question are thick and labelled; other objects and detections around them are thin.

    Args:
        mistake: The mistake.
        name: Name of the image.
        photo: uint8 [h, w, 3], at its own size.
        collected: Ground truth and detections, in pixels of the photo.
        outcome: See `confusion.outcomes`.
    """
    truths, detections = corners_yxyx(collected.truths), corners_yxyx(collected.detections)
    classes = collected.categories
    truth, detection = mistake.truth, mistake.detection
    boxes = []
    if truth >= 0:
        label = f"truth: {classes[int(collected.truths[truth, 6])]}"
        boxes.append(LabelledBox(truths[truth], label, TRUTH_COLOR, 3))
    if detection >= 0:
        label = _scored(classes, collected.detections[detection])
        boxes.append(LabelledBox(detections[detection], label, DETECTION_COLOR, 3))
    around = (collected.truths[:, 0] == mistake.image) & (collected.truths[:, 5] == 0)
    boxes += [
        LabelledBox(truths[row], "", TRUTH_COLOR, 1)
        for row in np.flatnonzero(around)
        if row != truth
    ]
    around = (collected.detections[:, 0] == mistake.image) & outcome.considered
    boxes += [
        LabelledBox(detections[row], "", DETECTION_COLOR, 1)
        for row in np.flatnonzero(around)
        if row != detection
    ]
    main = [detections[detection]] if truth < 0 else [truths[truth]]
    if mistake.kind == CONFUSED:
        main.append(detections[detection])
    return Mistake(
        Picture(_crop(photo, np.array(main), boxes), _caption(mistake, name, collected)),
        {
            "kind": mistake.kind,
            "image": name,
            "truth": None if truth < 0 else classes[int(collected.truths[truth, 6])],
            "predicted": (
                None if detection < 0 else classes[int(collected.detections[detection, 6])]
            ),
            "score": None if detection < 0 else float(collected.detections[detection, 5]),
            "iou": mistake.iou,
        },
    )


def _crop(photo: np.ndarray, main_yxyx: np.ndarray, boxes: list[LabelledBox]) -> Image.Image:
    """The surroundings of the main boxes with all boxes drawn, `_SIDE` pixels long."""
    size = np.array(photo.shape[:2], float)
    low, high = main_yxyx[:, :2].min(axis=0), main_yxyx[:, 2:].max(axis=0)
    side = max(_CONTEXT * (high - low).max(), _LEAST_SHARE * size.max())
    side_hw = np.minimum(side, size)
    corner = np.clip((low + high) / 2 - side_hw / 2, 0, size - side_hw).round().astype(int)
    height, width = np.maximum(side_hw.round().astype(int), 1)
    part = photo[corner[0] : corner[0] + height, corner[1] : corner[1] + width]
    scale = _SIDE / max(part.shape[:2])
    offset = np.tile(corner, 2)
    moved = [each._replace(box_yxyx=(each.box_yxyx - offset) * scale) for each in boxes]
    return draw_boxes(fit(part, _SIDE), moved)


def _caption(mistake: ObjectMistake, name: str, collected: Collected) -> str:
    classes, iou = collected.categories, f"{mistake.iou:.0%}"
    truth = mistake.truth >= 0 and classes[int(collected.truths[mistake.truth, 6])]
    found = mistake.detection >= 0 and _scored(classes, collected.detections[mistake.detection])
    if mistake.kind == MISSED:
        rest = f"Nearest detection: {found}, IoU {iou}." if found else "No detection there."
        return f"Missed {truth}. {rest} Image {name}."
    if mistake.kind == CONFUSED:
        return f"Confused: {truth} detected as {found}, IoU {iou}. Image {name}."
    rest = f"Nearest object: {truth}, IoU {iou}." if truth else "No object there."
    return f"Invented {found}. {rest} Image {name}."


def _scored(classes: Mapping[int, str], detection: np.ndarray) -> str:
    return f"{classes[int(detection[6])]} {detection[5]:.0%}"
