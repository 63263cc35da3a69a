"""Preprocessing and postprocessing around a portable detector file."""

import numpy as np
import tensorflow as tf

from efficientvision.data.transforms.preprocess import fitted_size, resize_bilinear, stretch
from efficientvision.errors import UserError
from efficientvision.tasks.detection import raw_outputs
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.nms import DEFAULT_IOU_THRESH
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.portable import PortableNetwork, check_number, of_photos, output


class DetectionRunner:
    """Resizes photos, runs the network, and scales its boxes to pixels of the photo."""

    def __init__(self, network: PortableNetwork, metadata: DetectionMetadata):
        self._network = network
        self._metadata = metadata
        height, width = metadata.image_hw
        self._canvas = np.empty((metadata.batch_size or 1, height, width, 3), np.float32)
        self._is_ssd = metadata.family == "ssd"
        self._anchors = None
        if metadata.anchors and self._is_ssd:
            self._anchors = generate_priors(**metadata.anchors)
        elif metadata.anchors:
            self._anchors = np.asarray(generate_anchors(**metadata.anchors), np.float32)
        self._resize = of_photos(self._fit)

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        images, scale = self._prepare(photos)
        outputs = self._network(images)
        if "detections" in outputs:
            detections = outputs["detections"]
        else:
            names = ("confidences", "locations") if self._is_ssd else ("logits", "codes")
            pairs = zip(*(output(outputs, name) for name in names), strict=True)
            detections = np.stack([self._decode(*pair) for pair in pairs])
        numbers = np.arange(len(detections), dtype=np.float32)[:, None, None]
        rows = np.concatenate(
            [np.broadcast_to(numbers, (*detections.shape[:2], 1)), detections], axis=-1
        )
        rows[..., 1:5] *= scale
        return rows

    def _fit(self, photos):
        if self._is_ssd:
            image_hw = self._metadata.image_hw
            return stretch(photos, image_hw), tf.shape(photos)[1:3] / tf.constant(image_hw)
        scale, fitted = fitted_size(tf.shape(photos)[1:3], self._metadata.image_hw)
        return resize_bilinear(photos, fitted), tf.fill([2], 1.0 / scale)

    def _prepare(self, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's input, and the scale from its pixels to the photo's, [4]."""
        check_number(photos, self._metadata)
        resized, scale = self._resize(photos)
        height, width = resized.shape[1:3]
        self._canvas[:, :height, :width] = resized
        if not self._is_ssd:
            padding = np.float32(self._metadata.preprocessing["mean_rgb"])
            self._canvas[:, height:] = padding
            self._canvas[:, :height, width:] = padding
        return self._canvas, np.tile(np.float32(scale), 2)

    def _decode(self, classes: np.ndarray, box_deltas: np.ndarray) -> np.ndarray:
        settings = self._metadata.nms
        if self._anchors is None or len(self._anchors) != len(box_deltas):
            known = 0 if self._anchors is None else len(self._anchors)
            raise UserError(
                f"this file returns boxes of {len(box_deltas)} anchors, and its metadata describes "
                f"{known}: export the model again"
            )
        limits = {
            "iou_thresh": settings.get("iou_thresh") or DEFAULT_IOU_THRESH,
            "score_thresh": settings.get("score_thresh") or 0.0,
            "max_output_size": settings["max_output_size"],
            "max_candidates": settings["max_candidates"],
        }
        if self._is_ssd:
            image_hw = self._metadata.image_hw
            return raw_outputs.detect_ssd(
                classes, box_deltas, self._anchors, image_hw=image_hw, **limits
            )
        return raw_outputs.detect(classes, box_deltas, self._anchors, **limits)
