"""Runs portable exports on photos, with the preprocessing and postprocessing around the runtime."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from efficientvision import files
from efficientvision.data.transforms.preprocess import fitted_size, resize_bilinear, stretch
from efficientvision.detection import raw_outputs
from efficientvision.detection.anchors import generate_anchors
from efficientvision.detection.nms import DEFAULT_IOU_THRESH
from efficientvision.detection.priors import generate_priors
from efficientvision.errors import UserError
from efficientvision.exports import classification_serving, segmentation_serving
from efficientvision.exports.artifacts import Runner, module_of
from efficientvision.exports.metadata import (
    ClassifierMetadata,
    DetectorMetadata,
    ModelMetadata,
    SegmenterMetadata,
    check_portable,
    metadata_from_json,
)
from efficientvision.files import AnyPath


def load_portable(
    path: AnyPath, threads: int = 0
) -> tuple[Callable[[np.ndarray], np.ndarray], ModelMetadata]:
    """Loads an ONNX, OpenVINO or LiteRT file, or a Core ML package, written by this library.

    Args:
        path: the file.
        threads: number of threads of the runtime; 0 = runtime default.

    Returns:
        (run, metadata): `run` takes photos of equal size, uint8 [N, H, W, 3], and returns the
        results of a SavedModel: for a detector float32 [N, max, 7], see
        `detection_serving.to_rows`; for a classifier float32 [N, K]; for a segmenter uint8
        [N, H, W] or float32 [N, h, w, C].

    Raises:
        UserError: the file is missing, damaged or not written by this library, or its runtime is
            not installed.
    """
    if not files.exists(path):
        raise UserError(f"there is no exported model {path}")
    network, text = module_of(path).load(path, threads)
    if text is None:
        raise UserError(
            f"{path} has no metadata of this library, so the preprocessing of its images is "
            "unknown: export it with model_inspect.py --runmode=export"
        )
    metadata = metadata_from_json(text, files.as_text(path))
    check_portable(metadata, getattr(network, "input_shape", None), files.as_text(path))
    if isinstance(metadata, ClassifierMetadata):
        return _ClassificationRunner(network, metadata), metadata
    if isinstance(metadata, SegmenterMetadata):
        return _SegmentationRunner(network, metadata), metadata
    return _DetectionRunner(network, metadata), metadata


def _check_number(photos: np.ndarray, metadata: ModelMetadata) -> None:
    batch = metadata.batch_size or 1
    if len(photos) != batch:
        raise UserError(f"this file takes {batch} photos at a time, not {len(photos)}")


def _output(outputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in outputs:
        raise UserError(
            f"this file gives {', '.join(outputs)}, but its metadata is of one that gives {name}: "
            "export the model again"
        )
    return outputs[name]


class _ClassificationRunner:
    """Resizes and crops photos and runs the network."""

    def __init__(self, network: Runner, metadata: ClassifierMetadata):
        self._network = network
        self._metadata = metadata
        self._prepare = tf.function(
            lambda photos: classification_serving.fit_photos(
                photos, metadata.image_hw, metadata.crop_fraction
            ),
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
            autograph=False,
        )

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        _check_number(photos, self._metadata)
        images = self._prepare(photos).numpy().astype(np.float32)
        return _output(self._network(images), self._metadata.result_name)


class _SegmentationRunner:
    """Resizes photos, runs the network, and resizes the class map to the photo's size."""

    def __init__(self, network: Runner, metadata: SegmenterMetadata):
        self._network = network
        self._metadata = metadata
        self._prepare = tf.function(
            lambda photos: segmentation_serving.fit_photos(photos, metadata.image_hw),
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
            autograph=False,
        )

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        _check_number(photos, self._metadata)
        images = self._prepare(photos).numpy().astype(np.float32)
        found = _output(self._network(images), self._metadata.result_name)
        if self._metadata.result == "logits":
            return found
        return segmentation_serving.to_photo_size(found.astype(np.uint8), photos.shape[1:3])


class _DetectionRunner:
    """Resizes photos, runs the network, and scales its boxes to pixels of the photo."""

    def __init__(self, network: Runner, metadata: DetectorMetadata):
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
        self._resize = tf.function(
            lambda photos: self._fit(photos),
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
            autograph=False,
        )

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        images, scale = self._prepare(photos)
        outputs = self._network(images)
        if "detections" in outputs:
            found = outputs["detections"]
        else:
            names = ("confidences", "locations") if self._is_ssd else ("logits", "codes")
            pairs = zip(*(_output(outputs, name) for name in names), strict=True)
            found = np.stack([self._decode(*pair) for pair in pairs])
        numbers = np.arange(len(found), dtype=np.float32)[:, None, None]
        rows = np.concatenate([np.broadcast_to(numbers, (*found.shape[:2], 1)), found], axis=-1)
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
        _check_number(photos, self._metadata)
        resized, scale = self._resize(photos)
        height, width = resized.shape[1:3]
        self._canvas[:, :height, :width] = resized
        if not self._is_ssd:
            padding = np.float32(self._metadata.preprocessing["mean_rgb"])
            self._canvas[:, height:] = padding
            self._canvas[:, :height, width:] = padding
        return self._canvas, np.tile(np.float32(scale), 2)

    def _decode(self, classes: np.ndarray, codes: np.ndarray) -> np.ndarray:
        settings = self._metadata.nms
        if self._anchors is None or len(self._anchors) != len(codes):
            known = 0 if self._anchors is None else len(self._anchors)
            raise UserError(
                f"this file gives boxes of {len(codes)} anchors, and its metadata describes "
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
                classes, codes, self._anchors, image_hw=image_hw, **limits
            )
        return raw_outputs.detect(classes, codes, self._anchors, **limits)
