"""Portable detectors for all runtimes: from resized photos to boxes or raw outputs."""

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
# Default maximum of boxes that enter NMS (nms_configs.max_nms_inputs): NMS keeps 100 of them, and
# sorting all 49,104 anchors of D0 takes longer than the rest of postprocessing.
MAX_CANDIDATES = 1000


def portable_function(model: Any, config: DetectionConfig, *, nms: str, batch_size: int = 1) -> Any:
    """Traces the network with normalisation and optional NMS, with static shapes.

    Args:
        model: a Keras detector, images [N, h, w, 3] -> (class logits, box deltas), or an SSD's
            (confidences, locations).
        config: its hyper-parameters.
        nms: "offset": hard NMS per class inside the function; "none": no NMS.
        batch_size: number of images per batch; must be 1 with NMS.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, padded with
        `mean_rgb` (for an SSD, stretched to the input instead). It returns a dict. With "offset":
        `detections`, float32 [1, max, 6]: ymin, xmin, ymax, xmax in pixels of the input, score,
        class (1..K); padded with score 0. With "none": `logits`, float32 [N, A, K], and `codes`
        (encoded boxes), float32 [N, A, 4]; for an SSD `confidences`, float32 [N, P, K + 1], and
        `locations`, float32 [N, P, 4].

    Raises:
        UserError: the kind of NMS is unknown, or NMS is combined with soft-NMS or a batch size
            other than 1.
    """
    if nms not in NMS_KINDS:
        raise UserError(f"`nms={nms}` must be one of {', '.join(NMS_KINDS)}")
    if nms == "offset" and batch_size != 1:
        raise UserError(
            f"`nms=offset` supports one image at a time: `batch_size={batch_size}` must be 1, or "
            "use `nms=none`"
        )
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
    """The maximum number of boxes that enter NMS."""
    return config.nms_configs.max_nms_inputs or MAX_CANDIDATES


def _limits(config: DetectionConfig) -> Thresholds:
    """The thresholds of the built-in NMS.

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
            "soft-NMS (gaussian) is available in SavedModels only: set `nms_method=hard` or "
            "`nms=none` for the other formats"
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
    """The candidates of the single image of a batch, without the batch axis.

    Each anchor is a candidate for its best class.
    """
    anchors = tf.constant(generate_anchors(**config.anchor_options), tf.float32)
    count = min(max_candidates(config), int(anchors.shape[0]))
    top, rows = tf.math.top_k(tf.reduce_max(logits[0], axis=-1), count)
    classes = tf.argmax(tf.gather(logits[0], rows), axis=-1, output_type=tf.int32)
    boxes = box_ops.decode(tf.gather(box_deltas[0], rows), tf.gather(anchors, rows))
    return Candidates(boxes, tf.sigmoid(top), classes)


def _ssd_candidates(confidences: tf.Tensor, locations: tf.Tensor, config: SsdConfig) -> Candidates:
    """The candidates of the single image of a batch, without the batch axis."""
    found = best_class_candidates(
        confidences,
        locations,
        priors_yxyx=generate_priors(**config.anchor_options) * np.float32(config.image_hw * 2),
        max_nms_inputs=max_candidates(config),
    )
    return Candidates(*(value[0] for value in found))


def _detections(candidates: Candidates, config: DetectionConfig, limits: Thresholds) -> tf.Tensor:
    """Applies NMS to the candidates of one image and returns float32 [max, 6]."""
    settings = config.nms_configs
    boxes, scores, classes = candidates
    cells = move_to_class_cells(boxes, classes, config.num_object_classes, config.image_hw)
    # Unlike the batched operation, this one is a single kernel in all runtimes.
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
    """The metadata of a detector's file with this kind of NMS inside."""
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
