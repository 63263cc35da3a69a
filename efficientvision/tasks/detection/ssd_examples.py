"""Turns one record into one augmented training example for an SSD.

Random numbers depend only on (seed, position in the endless sequence).
"""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.boxes import clip_boxes
from efficientvision.data.record_parsing import source_id
from efficientvision.data.records import parse_example
from efficientvision.data.transforms import boxes, decode, orientation, sample_frame
from efficientvision.data.transforms.photometric import distort_colors
from efficientvision.data.transforms.placement import Placement, place_boxes, render
from efficientvision.data.transforms.preprocess import pad_to_canvas
from efficientvision.tasks.detection.augmentation import SsdAugmentation
from efficientvision.tasks.detection.training_examples import Examples, Scene

# One RNG stream per purpose, so draws are independent.
_ORIENTATION, _COLORS, _EXPANSION, _SAMPLE = range(4)


class SsdExamples(Examples):
    """Makes training examples of an SSD; call it with a position and its record.

    Colours are distorted after the photo has been resized to the input, which is much less work;
    pixels are rounded to whole values of 0..255.
    """

    augmentation: SsdAugmentation

    def __call__(self, position: tf.Tensor, records: tf.Tensor) -> Scene:
        """Makes one example.

        Args:
            position: int64 [], position in the endless sequence.
            records: string [1].

        Returns:
            See :func:`efficientvision.tasks.detection.pipeline.detection_dataset`, unbatched.
        """
        seed = tf.stack([tf.constant(self.seed, tf.int64), position])
        example = parse_example(records[0])
        boxes_yxyx, classes = self._objects(example)
        drawn = self.augmentation
        turned = orientation.draw_orientation(
            _fold(seed, _ORIENTATION),
            horizontal_flip=drawn.input_rand_hflip,
            vertical_flip=drawn.input_rand_vflip,
            quarter_turns=drawn.input_rand_rot90,
        )
        stored_hw = decode.image_size(example["encoded"])
        source_hw = orientation.oriented_size(turned, stored_hw)
        boxes_yxyx = orientation.orient_boxes(turned, boxes_yxyx)
        boxes_yxyx *= tf.cast(tf.tile(source_hw, [2]), tf.float32)
        frame = sample_frame.draw_expansion(
            _fold(seed, _EXPANSION), source_hw, drawn.expand_prob, drawn.expand_max
        )
        if drawn.sample_crop:
            frame = sample_frame.draw_sample(_fold(seed, _SAMPLE), frame, boxes_yxyx)
        placement = sample_frame.place_frame(frame, source_hw, self.image_hw)
        shown = sample_frame.boxes_in_frame(boxes_yxyx, frame)
        boxes_yxyx = clip_boxes(place_boxes(boxes_yxyx, placement), self.image_hw)
        shown &= boxes.has_area(boxes_yxyx)
        stored = orientation.stored_crop(turned, placement.crop_yx, placement.crop_hw, stored_hw)
        part = decode.decode_crop(
            example["encoded"], *stored, dct_method=decode.ACCURATE_DCT_METHOD
        )
        return {
            "images": self._rendered(part, turned, placement, _fold(seed, _COLORS)),
            "valid_hw": tf.constant(self.image_hw, tf.int32),
            "source_id": source_id(example, self.regenerate_source_id),
            "gt_boxes_yxyx": boxes.pad_rows(
                tf.boolean_mask(boxes_yxyx, shown), self.max_instances, -1.0
            ),
            "gt_classes": boxes.pad_rows(tf.boolean_mask(classes, shown), self.max_instances, -1),
        }

    def _rendered(
        self,
        part: tf.Tensor,
        turned: orientation.Orientation,
        placement: Placement,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """Renders the decoded part, as stored, to the network's input, uint8 [*image_hw, 3]."""
        image = render(part, turned, placement, dtype=tf.float32)
        if self.augmentation.photometric_distortion:
            image = distort_colors(image, seed)
        fill = tf.constant(self.augmentation.mean_rgb)
        # Padding with zeros becomes the fill colour.
        image = pad_to_canvas(image - fill, self.image_hw, placement.part_yx) + fill
        return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def _fold(seed: tf.Tensor, purpose: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, purpose)
