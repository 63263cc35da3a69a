"""Turns a record, and its mix candidates if it is mixed, into one augmented training example.

Random numbers depend only on (seed, position in the endless sequence).
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from efficientvision.data.record_parsing import source_id
from efficientvision.data.records import parse_example
from efficientvision.data.transforms import (
    autoaugment,
    boxes,
    decode,
    grid_mask,
    jitter,
    mixup,
    mosaic,
    orientation,
    photometric,
)
from efficientvision.data.transforms.placement import place_boxes, render
from efficientvision.data.transforms.preprocess import Size, pad_to_canvas
from efficientvision.tasks.detection.augmentation import Augmentation, SsdAugmentation

# One RNG stream per purpose, so draws are independent.
_ORIENTATION, _JITTER, _MOSAIC, _FRAMES, _MIXUP, _RATIO, _GRID_MASK, _AUTOAUGMENT, _HSV = range(9)

Scene = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Makes training examples of any detector.

    Attributes:
        image_hw: (height, width) of the network input.
        max_instances: M, number of boxes in an example.
        skip_crowd: Leave out crowd boxes.
        regenerate_source_id: Name photos by a hash of their bytes.
        augmentation: Augmentation of the photos.
        seed: Seed of everything random.
        mix_until: Position from which on examples show one photo each; None: never.
    """

    image_hw: Size
    max_instances: int
    skip_crowd: bool
    regenerate_source_id: bool
    augmentation: Augmentation | SsdAugmentation
    seed: int
    mix_until: int | None = None

    def _objects(self, example: Scene) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the normalised boxes and the classes of a parsed record."""
        objects = example["boxes_normalized_yxyx"], example["classes"]
        if not self.skip_crowd:
            return objects
        boxes_yxyx, classes = (tf.boolean_mask(v, ~example["is_crowd"]) for v in objects)
        return boxes_yxyx, classes


class TrainingExamples(Examples):
    """Makes training examples of an EfficientDet; call it with a position and its records."""

    augmentation: Augmentation

    def __call__(self, position: tf.Tensor, records: tf.Tensor) -> Scene:
        """Makes one example.

        Args:
            position: int64 [], position in the endless sequence.
            records: string [1 + num_mix_candidates], its own record, then its candidates'.

        Returns:
            See :func:`efficientvision.tasks.detection.pipeline.detection_dataset`, unbatched.
        """
        seed = tf.stack([tf.constant(self.seed, tf.int64), position])
        may_mix = tf.constant(True) if self.mix_until is None else position < self.mix_until
        scene = self._mosaic_or_photo(records, seed, may_mix)
        if self.augmentation.mixup_prob > 0:
            scene = tf.cond(
                self._happens(self.augmentation.mixup_prob, _fold(seed, _MIXUP)) & may_mix,
                lambda: self._mixed(scene, records[-1], _fold(seed, _RATIO)),
                lambda: scene,
            )
        if self.augmentation.hsv_jitter > 0:
            scene["images"] = photometric.jitter_hsv(
                scene["images"], _fold(seed, _HSV), self.augmentation.hsv_jitter
            )
        boxes_yxyx, classes = scene.pop("boxes_yxyx"), scene.pop("classes")
        boxes_yxyx = boxes.clip_to_last_pixel(boxes_yxyx, self.image_hw)
        seen = boxes.has_area(boxes_yxyx)
        boxes_yxyx, classes = (tf.boolean_mask(values, seen) for values in (boxes_yxyx, classes))
        return scene | {
            "gt_boxes_yxyx": boxes.pad_rows(boxes_yxyx, self.max_instances, -1.0),
            "gt_classes": boxes.pad_rows(classes, self.max_instances, -1),
        }

    def _mosaic_or_photo(self, records: tf.Tensor, seed: tf.Tensor, may_mix: tf.Tensor) -> Scene:
        if self.augmentation.mosaic_prob <= 0:
            return self._single(records[0], seed)
        is_mosaic = self._happens(self.augmentation.mosaic_prob, _fold(seed, _MOSAIC))
        return tf.cond(
            is_mosaic & may_mix,
            lambda: self._mosaic(records, seed),
            lambda: self._single(records[0], _fold(seed, 0)),
        )

    def _single(self, record: tf.Tensor, seed: tf.Tensor) -> Scene:
        canvas_hw = tf.constant(self.image_hw, tf.int32)
        photo = self._photo(record, seed, canvas_hw, tf.constant(False))
        return photo | {"images": pad_to_canvas(photo["images"], self.image_hw)}

    def _mosaic(self, records: tf.Tensor, seed: tf.Tensor) -> Scene:
        """Composes four photos, which fill the canvas; its scale is that of the first photo."""
        origins, sizes = mosaic.draw_frames(_fold(seed, _FRAMES), self.image_hw)
        load = tf.function(self._photo, autograph=False)  # Traced once, not four times.
        photos = [
            load(records[k], _fold(seed, k), sizes[k], tf.constant(True))
            for k in range(mosaic.NUM_FRAMES)
        ]
        offsets = tf.unstack(tf.cast(tf.tile(origins, [1, 2]), tf.float32))
        moved = [p["boxes_yxyx"] + offset for p, offset in zip(photos, offsets, strict=True)]
        return {
            "images": mosaic.compose([photo["images"] for photo in photos], self.image_hw),
            "valid_hw": tf.constant(self.image_hw, tf.int32),
            "image_scale": photos[0]["image_scale"],
            "source_id": _joined(*(photo["source_id"] for photo in photos)),
            "boxes_yxyx": tf.concat(moved, axis=0),
            "classes": tf.concat([photo["classes"] for photo in photos], axis=0),
        }

    def _mixed(self, scene: Scene, record: tf.Tensor, seed: tf.Tensor) -> Scene:
        """Blends another photo into the part of the canvas that the scene fills."""
        other = self._photo(record, seed, scene["valid_hw"], tf.constant(True))
        other_canvas = pad_to_canvas(other["images"], self.image_hw)
        ratio = mixup.draw_ratio(_fold(seed, _RATIO))
        return scene | {
            "images": mixup.blend(scene["images"], other_canvas, ratio),
            "source_id": _joined(scene["source_id"], other["source_id"]),
            "boxes_yxyx": tf.concat([scene["boxes_yxyx"], other["boxes_yxyx"]], axis=0),
            "classes": tf.concat([scene["classes"], other["classes"]], axis=0),
        }

    def _photo(
        self, record: tf.Tensor, seed: tf.Tensor, frame_hw: tf.Tensor, fill_frame: tf.Tensor
    ) -> Scene:
        """Loads the visible part of a photo, at its size, not padded.

        Args:
            record: string [].
            seed: int [2].
            frame_hw: int32 [2], the part of the canvas available for it.
            fill_frame: bool []: leave no padding within the frame, and drop boxes of slivers.
        """
        example = parse_example(record)
        boxes_yxyx, classes = self._objects(example)
        decode_part, stored_hw, boxes_yxyx, classes = self._pixels(
            example["encoded"], boxes_yxyx, classes, seed
        )
        drawn = self.augmentation
        turned = orientation.draw_orientation(
            _fold(seed, _ORIENTATION),
            horizontal_flip=drawn.input_rand_hflip,
            vertical_flip=drawn.input_rand_vflip,
            quarter_turns=drawn.input_rand_rot90,
        )
        source_hw = orientation.oriented_size(turned, stored_hw)
        factor, offset = jitter.draw_jitter(
            _fold(seed, _JITTER), drawn.jitter_min, drawn.jitter_max
        )
        placement, image_scale = jitter.plan_jitter(
            source_hw, self.image_hw, factor, offset, frame_hw=frame_hw, fill_frame=fill_frame
        )
        crop = orientation.stored_crop(turned, placement.crop_yx, placement.crop_hw, stored_hw)
        boxes_yxyx = place_boxes(orientation.orient_boxes(turned, boxes_yxyx), placement, source_hw)
        cut, kept = boxes.crop_boxes(boxes_yxyx, frame_hw)
        kept = kept | ~fill_frame
        return {
            "images": render(decode_part(*crop), turned, placement),
            "valid_hw": placement.part_hw,
            "image_scale": image_scale,
            "source_id": source_id(example, self.regenerate_source_id),
            "boxes_yxyx": tf.boolean_mask(tf.where(fill_frame, cut, boxes_yxyx), kept),
            "classes": tf.boolean_mask(classes, kept),
        }

    def _pixels(
        self, encoded: tf.Tensor, boxes_yxyx: tf.Tensor, classes: tf.Tensor, seed: tf.Tensor
    ):
        """Gives access to a photo: ((yx, hw) -> pixels; its size; its boxes; its classes).

        If no operation needs the whole photo, only the requested part is decoded.
        """
        drawn = self.augmentation
        if not drawn.needs_whole_photo:
            size_hw = decode.image_size(encoded)
            return lambda yx, hw: decode.decode_crop(encoded, yx, hw), size_hw, boxes_yxyx, classes
        photo = decode.decode_image(encoded)
        if drawn.grid_mask:
            photo = grid_mask.random_grid_mask(photo, _fold(seed, _GRID_MASK))
        if drawn.autoaugment_policy:
            photo, boxes_yxyx, classes = autoaugment.augment(
                photo,
                boxes_yxyx,
                classes,
                _fold(seed, _AUTOAUGMENT),
                policy=drawn.autoaugment_policy,
                randaug_num_layers=drawn.randaug_num_layers,
                randaug_magnitude=drawn.randaug_magnitude,
            )
        return (
            lambda yx, hw: photo[yx[0] : yx[0] + hw[0], yx[1] : yx[1] + hw[1]],
            tf.shape(photo)[:2],
            boxes_yxyx,
            classes,
        )

    @staticmethod
    def _happens(probability: float, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([], seed) < probability


def _joined(*names: tf.Tensor) -> tf.Tensor:
    """Name of a picture made of several photos."""
    return tf.strings.join(names, "+")


def _fold(seed: tf.Tensor, purpose: tf.Tensor | int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, purpose)
