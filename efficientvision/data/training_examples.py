"""One record, or one and its partners -> one augmented training example.

Every number drawn depends on (seed, position in the endless sequence) alone.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from efficientvision.data.records import parse_example
from efficientvision.data.transforms import decode, detection, mixup, mosaic, orientation
from efficientvision.data.transforms.preprocess import Size, pad_to_canvas
from efficientvision.errors import UserError

# What a random number is for: each purpose has its own, so that none hangs on another.
_ORIENTATION, _JITTER, _MOSAIC, _TILES, _MIXUP, _RATIO, _PARTNER = range(7)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to the photos; the names are those of the hyper-parameters.

    Attributes:
        input_rand_hflip: mirror half of the photos left to right.
        input_rand_vflip: mirror half of them top to bottom.
        input_rand_rot90: turn by a random number of quarter turns.
        jitter_min, jitter_max: range of the scale factor; 1 fits the photo to the input.
        mosaic_prob: share of the examples that are put together from four photos.
        mixup_prob: share of the examples that are blended with another photo.
    """

    input_rand_hflip: bool = True
    input_rand_vflip: bool = False
    input_rand_rot90: bool = False
    jitter_min: float = 0.1
    jitter_max: float = 2.0
    mosaic_prob: float = 0.0
    mixup_prob: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.jitter_min <= self.jitter_max:
            raise UserError(
                "scale jitter needs 0 < jitter_min <= jitter_max, got "
                f"{self.jitter_min} and {self.jitter_max}."
            )

    @property
    def num_partners(self) -> int:
        """How many other photos one example may need."""
        return (mosaic.NUM_TILES - 1) * (self.mosaic_prob > 0) + (self.mixup_prob > 0)


@dataclasses.dataclass(frozen=True)
class TrainingExamples:
    """Makes training examples; call it with a position and its records.

    Attributes:
        image_hw: (height, width) of the network input.
        max_instances: M, boxes of an example.
        skip_crowd: leave out crowd boxes.
        regenerate_source_id: name photos by a hash of their bytes.
        augmentation: what is done to them.
        seed: of all that is drawn.
    """

    image_hw: Size
    max_instances: int
    skip_crowd: bool
    regenerate_source_id: bool
    augmentation: Augmentation
    seed: int

    def __call__(self, position: tf.Tensor, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes one example.

        Args:
            position: int64 [], its place in the endless sequence.
            records: string [1 + num_partners], its own record and then its partners'.

        Returns:
            See :func:`efficientvision.data.pipeline.detection_dataset`, unbatched.
        """
        seed = tf.stack([tf.constant(self.seed, tf.int64), position])
        drawn = self.augmentation
        scene = _drawn_or(
            drawn.mosaic_prob,
            _fold(seed, _MOSAIC),
            lambda: self._mosaic(records[: mosaic.NUM_TILES], seed),
            lambda: self._single(records[0], seed),
        )
        scene = _drawn_or(
            drawn.mixup_prob,
            _fold(seed, _MIXUP),
            lambda: self._mixed(scene, records[-1], seed),
            lambda: scene,
        )
        boxes, classes = scene.pop("boxes_yxyx"), scene.pop("classes")
        boxes = detection.clip_boxes(boxes, self.image_hw)
        seen = detection.has_area(boxes)
        boxes, classes = (tf.boolean_mask(v, seen) for v in (boxes, classes))
        return scene | {
            "gt_boxes_yxyx": detection.pad_rows(boxes, self.max_instances, -1.0),
            "gt_classes": detection.pad_rows(classes, self.max_instances, -1),
        }

    def _single(self, record: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One photo in the top left corner of the canvas."""
        view = self._view(record, seed, None)
        view["images"] = pad_to_canvas(view["images"], self.image_hw)
        return view

    def _mosaic(self, records: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Four photos, each filling its part of the canvas."""
        origins, sizes = mosaic.draw_tiles(_fold(seed, _TILES), self.image_hw)
        views = [
            self._tile(records[k], _fold(seed, _PARTNER + k), sizes[k])
            for k in range(mosaic.NUM_TILES)
        ]
        offsets = tf.cast(tf.tile(origins, [1, 2]), tf.float32)
        return {
            "images": mosaic.join_tiles([v["images"] for v in views], self.image_hw),
            "valid_hw": tf.constant(self.image_hw, tf.int32),
            "image_scale": views[0]["image_scale"],
            "source_id": tf.strings.join([v["source_id"] for v in views], "+"),
            "boxes_yxyx": tf.concat(
                [v["boxes_yxyx"] + offsets[k] for k, v in enumerate(views)], axis=0
            ),
            "classes": tf.concat([v["classes"] for v in views], axis=0),
        }

    def _mixed(
        self, scene: dict[str, tf.Tensor], record: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The scene, and another photo shown through the part of the canvas that it fills."""
        seed = _fold(seed, _RATIO)
        other = self._tile(record, _fold(seed, _PARTNER), scene["valid_hw"])
        other_canvas = pad_to_canvas(other["images"], self.image_hw)
        ratio = mixup.draw_ratio(seed)
        return {
            "images": mixup.blend(scene["images"], other_canvas, ratio),
            "valid_hw": scene["valid_hw"],
            "image_scale": scene["image_scale"],
            "source_id": tf.strings.join([scene["source_id"], other["source_id"]], "+"),
            "boxes_yxyx": tf.concat([scene["boxes_yxyx"], other["boxes_yxyx"]], axis=0),
            "classes": tf.concat([scene["classes"], other["classes"]], axis=0),
        }

    def _tile(self, record: tf.Tensor, seed: tf.Tensor, tile_hw: tf.Tensor) -> dict[str, tf.Tensor]:
        """A photo that fills a part of the canvas; boxes relative to that part, slivers dropped."""
        view = self._view(record, seed, tile_hw)
        boxes, kept = mosaic.crop_boxes(view["boxes_yxyx"], tile_hw)
        view["boxes_yxyx"] = tf.boolean_mask(boxes, kept)
        view["classes"] = tf.boolean_mask(view["classes"], kept)
        return view

    def _view(
        self, record: tf.Tensor, seed: tf.Tensor, tile_hw: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """The part of a photo that is shown, not padded; its boxes in pixels of it, not clipped."""
        example = parse_example(record)
        encoded = example["encoded"]
        boxes, classes = example["boxes_normalized_yxyx"], example["classes"]
        if self.skip_crowd:
            boxes, classes = (tf.boolean_mask(v, ~example["is_crowd"]) for v in (boxes, classes))
        drawn = self.augmentation
        turned = orientation.draw_orientation(
            _fold(seed, _ORIENTATION),
            horizontal_flip=drawn.input_rand_hflip,
            vertical_flip=drawn.input_rand_vflip,
            quarter_turns=drawn.input_rand_rot90,
        )
        stored_hw = decode.image_size(encoded)
        source_hw = orientation.oriented_size(turned, stored_hw)
        factor, offset = detection.draw_jitter(
            _fold(seed, _JITTER), drawn.jitter_min, drawn.jitter_max
        )
        if tile_hw is None:
            plan = detection.plan_jitter(source_hw, self.image_hw, factor, offset)
        else:
            plan = detection.plan_tile(source_hw, self.image_hw, tile_hw, factor, offset)
        crop = orientation.stored_crop(turned, plan.crop_yx, plan.crop_hw, stored_hw)
        boxes = orientation.orient_boxes(turned, boxes)
        return {
            "images": detection.render(decode.decode_crop(encoded, *crop), turned, plan),
            "valid_hw": plan.valid_hw,
            "image_scale": plan.image_scale,
            "source_id": source_id(example, self.regenerate_source_id),
            "boxes_yxyx": detection.place_boxes(boxes, source_hw, plan),
            "classes": classes,
        }


def source_id(example: dict[str, tf.Tensor], regenerate: bool) -> tf.Tensor:
    """string [], the photo's name; a hash of its bytes if it has none or on request."""
    hashed = tf.strings.as_string(tf.strings.to_hash_bucket_fast(example["encoded"], tf.int64.max))
    if regenerate:
        return hashed
    return tf.where(tf.equal(example["source_id"], ""), hashed, example["source_id"])


def _fold(seed: tf.Tensor, purpose: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, purpose)


def _drawn_or(probability: float, seed: tf.Tensor, drawn, otherwise):
    """``drawn()`` with that probability, else ``otherwise()``; costs nothing at probability 0."""
    if probability <= 0:
        return otherwise()
    return tf.cond(tf.random.stateless_uniform([], seed) < probability, drawn, otherwise)
