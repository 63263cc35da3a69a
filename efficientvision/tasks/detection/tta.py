"""Test-time augmentation for detectors: several views of each photo, merged into one result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.data.transforms.preprocess import normalize
from efficientvision.errors import UserError
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.box_fusion import fuse_views
from efficientvision.tasks.detection.decoder import Decoder
from efficientvision.tasks.detection.postprocess import Candidates, Detections
from efficientvision.tasks.detection.views import View, boxes_on_photo, make_views, mirror
from efficientvision.tasks.training_task import Batch

MERGES = ("wbf", "nms")


@dataclasses.dataclass(frozen=True)
class TTAOptions:
    """Test-time augmentation: the views of each photo, and how their detections are merged.

    Attributes:
        flip: Also evaluate the mirror image.
        scales: Scale factors of the photo, relative to the usual size.
        merge: "wbf": average detections of the views that agree, each view after hard NMS (weighted
            box fusion, arXiv:1910.13302); soft-NMS would leave neighbours of a box, which would be
            averaged with it and lower its score. "nms": apply the configured NMS to the candidates
            of all views together.
        iou_thresh: Minimum IoU (0..1) of boxes averaged by wbf.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    merge: str = "wbf"
    iou_thresh: float = 0.55

    def __post_init__(self):
        if self.merge not in MERGES:
            raise UserError(f"Unknown TTA merge {self.merge!r}; use {' or '.join(MERGES)}.")
        if not 0 < self.iou_thresh <= 1:
            raise UserError(f"The IoU threshold of TTA must be in (0, 1], got {self.iou_thresh:g}.")


class DetectionTTA:
    """Test-time augmentation: runs a detector on the views of a batch, and merges the detections.

    A network has one input size. For every other size another network is built, which shares the
    weights of the first one.

    Attributes:
        views: See `detection.views.make_views`.
        sizes: (image_hw, fit_hw) of the inputs in a batch, the usual one first.
        inputs: Batch keys that `outputs` and `decode` need.

    Args:
        config: Hyper-parameters of the detector.
        decoder: Decoder of the detector's outputs.
        options: The views, and how to merge them.
        build_network: Function config -> network; required for scales other than 1.
    """

    def __init__(
        self,
        config: DetectionConfig,
        decoder: Decoder,
        options: TTAOptions,
        build_network: Callable[[DetectionConfig], keras.Model] | None = None,
    ):
        self._config = config
        self._options = options
        self.views = make_views(
            config.image_hw,
            self._options.scales,
            mirrored=self._options.flip,
            step=config.coarsest_stride,
        )
        is_fused = self._options.merge == "wbf" and len(self.views) > 1
        self._decoder = decoder.with_hard_suppression() if is_fused else decoder
        usual = (config.image_hw, config.image_hw)
        self.sizes = list(dict.fromkeys([usual, *(view[:2] for view in self.views)]))
        self._networks = {
            size: build_network(dataclasses.replace(config, image_size=size))
            for size in dict.fromkeys(image_hw for image_hw, _ in self.sizes)
            if size != config.image_hw
        }
        numbers = sorted({self._number(view) for view in self.views})
        self.inputs = (
            *(f"{name}{n}" for n in numbers for name in ("images", "valid_hw")),
            "original_hw",
        )

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """Returns the class-head levels, then the box-head levels, view by view.

        Args:
            model: EfficientDet at the network's own input size.
            batch: `images`, `valid_hw`, and the same for further sizes (see `inputs`).
        """
        return [output for view in self.views for output in self._outputs(model, batch, view)]

    def decode(self, outputs: Sequence[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """Detections in photo pixels: the fields of `detection.postprocess.Detections`.

        If several views are to be fused (`merge`), the second axis of each field is the view.
        """
        count = len(outputs) // len(self.views)
        by_view = [
            (view, outputs[i * count : (i + 1) * count]) for i, view in enumerate(self.views)
        ]
        if self._options.merge == "nms" and len(by_view) > 1:
            pools = [self._candidates(view, part, batch) for view, part in by_view]
            pool = Candidates(*(tf.concat(column, axis=1) for column in zip(*pools, strict=True)))
            return self._decoder.suppressed(pool)._asdict()
        detections = [self._detections(view, part, batch) for view, part in by_view]
        if len(detections) == 1:
            return detections[0]._asdict()
        fields = (tf.stack(column, axis=1) for column in zip(*detections, strict=True))
        return Detections(*fields)._asdict()

    def merge(self, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Merges the result of `decode` into one set of detections per image, on the host."""
        if predictions["scores"].ndim == 2:
            return dict(predictions)
        images = zip(*(predictions[name] for name in Detections._fields), strict=True)
        size, iou_thresh = self._decoder.nms.max_output_size, self._options.iou_thresh
        fused = [fuse_views(*i, max_output_size=size, iou_thresh=iou_thresh) for i in images]
        columns = zip(*fused, strict=True)
        return dict(zip(Detections._fields, map(np.stack, columns), strict=True))

    def _number(self, view: View) -> str:
        """Returns the suffix of the batch keys for a view's input."""
        index = self.sizes.index(view[:2])
        return f"_{index}" if index else ""

    def _outputs(self, model: keras.Model, batch: Batch, view: View) -> list[tf.Tensor]:
        number = self._number(view)
        images, valid_hw = batch[f"images{number}"], batch[f"valid_hw{number}"]
        if view.mirrored:
            images = mirror(images, valid_hw)
        images = normalize(images, valid_hw, self._config.mean_rgb, self._config.stddev_rgb)
        if view.image_hw == self._config.image_hw:
            return tf.nest.flatten(model(images, training=False)[:2])
        network = self._networks[view.image_hw]
        return tf.nest.flatten(with_weights_of(model, network, images)[:2])

    def _on_photo(self, boxes_yxyx: tf.Tensor, view: View, batch: Batch) -> tf.Tensor:
        valid_hw = batch[f"valid_hw{self._number(view)}"]
        return boxes_on_photo(boxes_yxyx, valid_hw, batch["original_hw"], mirrored=view.mirrored)

    def _detections(self, view: View, outputs: Sequence[tf.Tensor], batch: Batch) -> Detections:
        detections = self._decoder.detections(outputs, view.image_hw)
        return detections._replace(boxes_yxyx=self._on_photo(detections.boxes_yxyx, view, batch))

    def _candidates(self, view: View, outputs: Sequence[tf.Tensor], batch: Batch) -> Candidates:
        pool = self._decoder.candidates(outputs, view.image_hw)
        return pool._replace(boxes_yxyx=self._on_photo(pool.boxes_yxyx, view, batch))


def with_weights_of(model: keras.Model, network: keras.Model, images: tf.Tensor) -> Any:
    """Runs `network` on images with the present weights of `model`.

    Args:
        model: Network that provides the weights.
        network: The same network for another image size.
        images: Input of `network`.
    """
    values = {variable.path: variable for variable in model.variables}
    outputs, _ = network.stateless_call(
        [values[variable.path] for variable in network.trainable_variables],
        # Seed generators have no stable variable names, and inference draws no random numbers.
        [values.get(variable.path, variable) for variable in network.non_trainable_variables],
        images,
        training=False,
    )
    return outputs
