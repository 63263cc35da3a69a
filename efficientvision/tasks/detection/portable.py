"""The part of a detector that every runtime can run: resized photo in, boxes or raw outputs out."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.nms import Thresholds, move_to_class_cells, resolve_thresholds
from efficientvision.tasks.detection.postprocess import Candidates, merge_levels
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_postprocess import best_class_candidates

NMS_KINDS = ("offset", "none")
# Boxes that may enter suppression, unless nms_configs.max_nms_inputs says otherwise: hard NMS keeps
# 100 of them, and sorting all 49,104 anchors of D0 costs more than the rest of postprocessing.
MAX_CANDIDATES = 1000


def portable_function(model: Any, config: DetectionConfig, *, nms: str, batch_size: int = 1) -> Any:
    """Traces the network with normalisation and, if wanted, suppression, in static shapes.

    Args:
        model: a Keras detector, images [N, h, w, 3] -> (class logits, box deltas), or an SSD's
            (confidences, locations).
        config: its hyper-parameters.
        nms: "offset": hard suppression within each class, inside; "none": outside.
        batch_size: images at a time; suppression inside takes one.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, padded with
        `mean_rgb` (an SSD's are stretched to the input instead), which returns a dict: with
        "offset" `detections`, float32 [1, max, 6], which are ymin, xmin, ymax, xmax in pixels of
        the input, score, class (1..K), score 0 where there is none; with "none" `logits`, float32
        [N, A, K], and `codes`, float32 [N, A, 4], or an SSD's `confidences`, float32
        [N, P, K + 1], and `locations`, float32 [N, P, 4].

    Raises:
        UserError: an unknown kind of NMS, soft-NMS inside, or more than one image with it.
    """
    if nms not in NMS_KINDS:
        raise UserError(f"`nms={nms}`: must be one of {', '.join(NMS_KINDS)}")
    if nms == "offset" and batch_size != 1:
        raise UserError(f"`nms=offset` takes one image at a time, `batch_size={batch_size}` none")
    limits = _limits(config) if nms == "offset" else None
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    read, choose = (_ssd_outputs, _ssd_candidates)
    if not isinstance(config, SsdConfig):
        read, choose = (_efficientdet_outputs, _efficientdet_candidates)

    def run(images):
        outputs = read(model((images - mean) / stddev, training=False), config)
        if nms != "none":
            candidates = choose(*outputs.values(), config)
            outputs = {"detections": _detections(candidates, config, limits)[None]}
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, [spec], autograph=False).get_concrete_function()


def max_candidates(config: DetectionConfig) -> int:
    """How many boxes may enter suppression."""
    return config.nms_configs.max_nms_inputs or MAX_CANDIDATES


def _limits(config: DetectionConfig) -> Thresholds:
    """What suppression inside uses.

    Raises:
        UserError: soft-NMS is configured.
    """
    settings = config.nms_configs
    limits = resolve_thresholds(
        settings.method,
        iou_thresh=settings.iou_thresh,
        score_thresh=settings.score_thresh,
        sigma=settings.sigma,
    )
    if limits.soft_sigma:
        raise UserError(
            "soft-NMS (gaussian) exists in SavedModels only: for the other formats set "
            "`nms_method=hard`, or `nms=none`"
        )
    return limits


def _efficientdet_outputs(outputs: Any, config: EfficientDetConfig) -> dict[str, tf.Tensor]:
    class_outputs, box_outputs = outputs[:2]
    return {
        "logits": merge_levels(class_outputs, config.num_classes),
        "codes": merge_levels(box_outputs, 4),
    }


def _ssd_outputs(outputs: Any, config: SsdConfig) -> dict[str, tf.Tensor]:
    confidences, locations = outputs
    return {"confidences": confidences, "locations": locations}


def _efficientdet_candidates(
    logits: tf.Tensor, box_deltas: tf.Tensor, config: EfficientDetConfig
) -> Candidates:
    """Of the one image of a batch, without the axis of the batch.

    Each anchor stands for its best class.
    """
    anchors = tf.constant(generate_anchors(**config.anchor_options), tf.float32)
    count = min(max_candidates(config), int(anchors.shape[0]))
    top, rows = tf.math.top_k(tf.reduce_max(logits[0], axis=-1), count)
    classes = tf.argmax(tf.gather(logits[0], rows), axis=-1, output_type=tf.int32)
    boxes = box_ops.decode(tf.gather(box_deltas[0], rows), tf.gather(anchors, rows))
    return Candidates(boxes, tf.sigmoid(top), classes)


def _ssd_candidates(confidences: tf.Tensor, locations: tf.Tensor, config: SsdConfig) -> Candidates:
    """Of the one image of a batch, without the axis of the batch."""
    found = best_class_candidates(
        confidences,
        locations,
        priors_yxyx=generate_priors(**config.anchor_options) * np.float32(config.image_hw * 2),
        max_nms_inputs=max_candidates(config),
    )
    return Candidates(*(value[0] for value in found))


def _detections(candidates: Candidates, config: DetectionConfig, limits: Thresholds) -> tf.Tensor:
    """float32 [max, 6] of one image."""
    settings = config.nms_configs
    boxes, scores, classes = candidates
    cells = move_to_class_cells(boxes, classes, config.num_object_classes, config.image_hw)
    # This operation, unlike the batched one, is one kernel in each of the runtimes.
    kept, number = tf.raw_ops.NonMaxSuppressionV4(
        boxes=cells,
        scores=scores,
        max_output_size=settings.max_output_size,
        iou_threshold=limits.iou,
        score_threshold=max(limits.score, 0.0),
        pad_to_max_output_size=True,
    )
    valid = tf.range(settings.max_output_size) < number
    columns = [
        tf.gather(boxes, kept),
        tf.gather(scores, kept)[:, tf.newaxis],
        tf.cast(tf.gather(classes, kept) + 1, tf.float32)[:, tf.newaxis],
    ]
    return tf.where(valid[:, tf.newaxis], tf.concat(columns, axis=-1), 0.0)


def with_suppression(
    metadata: DetectionMetadata, config: DetectionConfig, kind: str
) -> DetectionMetadata:
    """The facts of a detector's file with that kind of suppression inside."""
    if isinstance(config, SsdConfig):
        preprocessing = {}
    else:
        preprocessing = {"mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist()}
    return dataclasses.replace(
        metadata,
        nms={
            **metadata.nms,
            "method": "hard",
            "kind": kind,
            "per_class": True,
            "max_candidates": max_candidates(config),
        },
        columns=("ymin", "xmin", "ymax", "xmax", "score", "class"),
        preprocessing=preprocessing,
        anchors={} if kind == "offset" else config.anchor_options,
    )
