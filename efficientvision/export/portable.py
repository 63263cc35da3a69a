"""The part of a detector that every runtime can run: resized photo in, boxes or raw outputs out."""

from typing import Any

import tensorflow as tf

from efficientvision.configs import DetectionConfig
from efficientvision.detection import boxes as box_ops
from efficientvision.detection.anchors import generate_anchors
from efficientvision.detection.nms import Thresholds, move_to_class_cells, resolve_thresholds
from efficientvision.detection.postprocess import merge_levels
from efficientvision.errors import UserError

NMS_KINDS = ("offset", "none")
# Boxes that may enter suppression, unless nms_configs.max_nms_inputs says otherwise: hard NMS keeps
# 100 of them, and sorting all 49,104 anchors of D0 costs more than the rest of postprocessing.
MAX_CANDIDATES = 1000


def portable_function(model: Any, config: DetectionConfig, *, nms: str, batch_size: int = 1) -> Any:
    """Traces the network with normalisation and, if wanted, suppression, in static shapes.

    Args:
        model: a Keras detector, images [N, h, w, 3] -> (class logits, box codes).
        config: its hyper-parameters.
        nms: "offset": hard suppression within each class, inside; "none": outside.
        batch_size: images at a time; suppression inside takes one.

    Returns:
        A concrete function of `images`, float32 [N, h, w, 3], pixel values 0..255, padded with
        `mean_rgb`, which returns a dict: with "offset" `detections`, float32 [1, max, 6], which are
        ymin, xmin, ymax, xmax in pixels of the input, score, class (1..K), score 0 where there is
        none; with "none" `logits`, float32 [N, A, K], and `codes`, float32 [N, A, 4].

    Raises:
        UserError: an unknown kind of NMS, soft-NMS inside, or more than one image with it.
    """
    if nms not in NMS_KINDS:
        raise UserError(f"--nms={nms}: must be one of {', '.join(NMS_KINDS)}")
    if nms == "offset" and batch_size != 1:
        raise UserError(f"--nms=offset takes one image at a time, --batch_size={batch_size} none")
    limits = _limits(config) if nms == "offset" else None
    mean = tf.constant(config.mean_rgb, tf.float32)
    stddev = tf.constant(config.stddev_rgb, tf.float32)

    def run(images):
        class_outputs, box_outputs = model((images - mean) / stddev, training=False)[:2]
        logits = merge_levels(class_outputs, config.num_classes)
        codes = merge_levels(box_outputs, 4)
        if nms == "none":
            outputs = {"logits": logits, "codes": codes}
        else:
            outputs = {"detections": _detections(logits[0], codes[0], config, limits)[None]}
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    spec = tf.TensorSpec((batch_size, *config.image_hw, 3), tf.float32, name="images")
    return tf.function(run, input_signature=[spec]).get_concrete_function()


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
            "--nms_method=hard, or --nms=none"
        )
    return limits


def _detections(
    logits: tf.Tensor, codes: tf.Tensor, config: DetectionConfig, limits: Thresholds
) -> tf.Tensor:
    """float32 [max, 6] of logits [A, K] and codes [A, 4] of one image.

    Each anchor stands for its best class.
    """
    settings = config.nms_configs
    anchors = tf.constant(generate_anchors(**config.anchor_options), tf.float32)
    count = min(max_candidates(config), int(anchors.shape[0]))
    top, rows = tf.math.top_k(tf.reduce_max(logits, axis=-1), count)
    classes = tf.argmax(tf.gather(logits, rows), axis=-1, output_type=tf.int32)
    boxes = box_ops.decode(tf.gather(codes, rows), tf.gather(anchors, rows))
    scores = tf.sigmoid(top)
    # This operation, unlike the batched one, is one kernel in each of the runtimes.
    kept, number = tf.raw_ops.NonMaxSuppressionV4(
        boxes=move_to_class_cells(boxes, classes, config.num_classes, config.image_hw),
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
