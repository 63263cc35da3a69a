"""Detections as rows of seven numbers, the original's exchange format.

Source: `generate_detections` and `transform_detections`, `tf2/postprocess.py` of google/automl.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from efficientvision.configs import NmsConfig
from efficientvision.detection import nms_numpy
from efficientvision.detection.postprocess import Detections, postprocess, select_candidates


def generate_detections(
    class_outputs: Sequence,
    box_outputs: Sequence,
    image_scales,
    image_ids,
    *,
    anchors,
    image_hw: tuple[int, int],
    num_classes: int,
    nms: NmsConfig,
    mode: str = "per_class",
    flip: bool = False,
    in_numpy: bool = False,
):
    """Detections of a batch as rows.

    Args:
        class_outputs, box_outputs, anchors, image_hw, num_classes, nms, mode: See
            `postprocess.postprocess`.
        image_scales: float [B]: pixels of the photo per pixel of the network input.
        image_ids: Number [B] that goes into the first column.
        flip: The network saw mirrored images: mirror the boxes back.
        in_numpy: Suppress per class in numpy (see `nms_numpy`), eagerly.

    Returns:
        float32 [B, max_output_size, 7]: image_id, xmin, ymin, xmax, ymax (pixels of the photo),
        score, class (1..K). Padding rows score 0, or -1e5 `in_numpy`.
    """
    if in_numpy:
        detections = _postprocess_in_numpy(
            class_outputs,
            box_outputs,
            image_scales,
            anchors=anchors,
            num_classes=num_classes,
            nms=nms,
        )
    else:
        detections = postprocess(
            class_outputs,
            box_outputs,
            image_scales,
            anchors=anchors,
            image_hw=image_hw,
            num_classes=num_classes,
            nms=nms,
            mode=mode,
        )
    ymin, xmin, ymax, xmax = tf.unstack(detections.boxes_yxyx, axis=-1)
    if flip:
        width = tf.cast(image_scales, tf.float32)[:, tf.newaxis] * float(image_hw[1])
        xmin, xmax = width - xmax, width - xmin
    ids = tf.cast(image_ids, tf.float32)[:, tf.newaxis] * tf.ones_like(xmin)
    classes = tf.cast(detections.classes, tf.float32)
    return tf.stack([ids, xmin, ymin, xmax, ymax, detections.scores, classes], axis=-1)


def corners_to_xywh(rows):
    """Rows [..., 7] with corners xmin, ymin, xmax, ymax -> COCO's x, y, width, height."""
    image_id, xmin, ymin, xmax, ymax, score, label = tf.unstack(rows, axis=-1)
    return tf.stack([image_id, xmin, ymin, xmax - xmin, ymax - ymin, score, label], axis=-1)


def _postprocess_in_numpy(
    class_outputs, box_outputs, image_scales, *, anchors, num_classes: int, nms: NmsConfig
) -> Detections:
    candidates = select_candidates(
        class_outputs,
        box_outputs,
        anchors=anchors,
        num_classes=num_classes,
        max_nms_inputs=nms.max_nms_inputs,
    )
    images = zip(*(tensor.numpy() for tensor in candidates), strict=True)
    results = [
        nms_numpy.suppress_per_class(
            *image,
            max_output_size=nms.max_output_size,
            method=nms.method,
            iou_thresh=nms.iou_thresh,
            score_thresh=nms.score_thresh,
            sigma=nms.sigma,
        )
        for image in images
    ]
    boxes, scores, classes, counts = (np.stack(column) for column in zip(*results, strict=True))
    boxes = boxes * np.asarray(image_scales, np.float32)[:, None, None]
    return Detections(*(tf.constant(array) for array in (boxes, scores, classes, counts)))
