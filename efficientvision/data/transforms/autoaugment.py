"""AutoAugment and RandAugment: a few operations in a row, drawn for each photo.

The next operation is looked up at run time in a table of numbers, and the graph contains one copy
of each operation: a policy of twenty sub-policies costs no more to build than one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from efficientvision.data.transforms import box_ops, color_ops, geometric_ops
from efficientvision.data.transforms.autoaugment_policies import (
    POLICIES,
    RANDAUG,
    RANDAUG_OPERATIONS,
    Step,
)
from efficientvision.data.transforms.boxes import has_area

MAX_LEVEL = 10.0
# Amounts at the highest level.
_DEGREES, _SHEAR, _PIXELS, _PIXELS_IN_BOX = 30.0, 0.3, 250.0, 120.0
_CUTOUT, _CUTOUT_IN_BOX, _CUTOUT_OF_BOX = 100.0, 50.0, 0.75
_ADDITION, _THRESHOLD, _BITS = 110.0, 256.0, 4.0

Photo = tuple[tf.Tensor, tf.Tensor]


class Operation(NamedTuple):
    """One operation of a policy.

    Attributes:
        apply: (image uint8 [h, w, 3], boxes float32 [n, 4] normalised yxyx, signed level float32
            [], probability float32 [], seed) -> (image, boxes).
        signed: The level is negated half of the time.
        per_box: The probability applies to each box separately.
    """

    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], Photo]
    signed: bool = False
    per_box: bool = False


def _whole(level: tf.Tensor, most: float) -> tf.Tensor:
    return tf.cast(level * most / MAX_LEVEL, tf.int32)


def _enhancement(level: tf.Tensor) -> tf.Tensor:
    return level * 1.8 / MAX_LEVEL + 0.1


def _moved(make_map, most: float):
    """(image, level) -> image, by one of the maps of `geometric_ops`."""
    return lambda image, level, seed: geometric_ops.move_image(
        image, make_map(level * most / MAX_LEVEL, tf.shape(image)[:2])
    )


# (part uint8 [p, q, 3], level, seed) -> the same shape.
_PIXELS_ONLY = {
    "AutoContrast": lambda image, level, seed: color_ops.autocontrast(image),
    "Equalize": lambda image, level, seed: color_ops.equalize(image),
    # The original's 0 bits (levels below 3) behaved like 1.
    "Posterize": lambda image, level, seed: color_ops.posterize(
        image, tf.maximum(_whole(level, _BITS), 1)
    ),
    "Solarize": lambda image, level, seed: color_ops.solarize(image, _whole(level, _THRESHOLD)),
    "SolarizeAdd": lambda image, level, seed: color_ops.solarize_add(
        image, _whole(level, _ADDITION)
    ),
    "Color": lambda image, level, seed: color_ops.color(image, _enhancement(level)),
    "Contrast": lambda image, level, seed: color_ops.contrast(image, _enhancement(level)),
    "Brightness": lambda image, level, seed: color_ops.brightness(image, _enhancement(level)),
    "Sharpness": lambda image, level, seed: color_ops.sharpness(image, _enhancement(level)),
    "Cutout": lambda image, level, seed: color_ops.cutout(image, _whole(level, _CUTOUT), seed),
}
_INSIDE_BOXES = {
    "Rotate": _moved(geometric_ops.rotation, _DEGREES),
    "ShearX": _moved(geometric_ops.shear_x, _SHEAR),
    "ShearY": _moved(geometric_ops.shear_y, _SHEAR),
    "TranslateX": _moved(geometric_ops.translation_x, _PIXELS_IN_BOX),
    "TranslateY": _moved(geometric_ops.translation_y, _PIXELS_IN_BOX),
    "Flip": lambda image, level, seed: tf.reverse(image, axis=[1]),
    "Solarize": _PIXELS_ONLY["Solarize"],
    "Equalize": _PIXELS_ONLY["Equalize"],
    "Cutout": lambda image, level, seed: color_ops.cutout(
        image, _whole(level, _CUTOUT_IN_BOX), seed
    ),
}
_WITH_BOXES = {
    "Rotate": (geometric_ops.rotation, _DEGREES),
    "ShearX": (geometric_ops.shear_x, _SHEAR),
    "ShearY": (geometric_ops.shear_y, _SHEAR),
    "TranslateX": (geometric_ops.translation_x, _PIXELS),
    "TranslateY": (geometric_ops.translation_y, _PIXELS),
}
_SIGNED = set(_WITH_BOXES)


def _pixels_only(change) -> Operation:
    return Operation(
        lambda image, boxes, level, probability, seed: (change(image, level, seed), boxes)
    )


def _with_boxes(make_map, most: float) -> Operation:
    def apply(image, boxes, level, probability, seed):
        size_hw = tf.shape(image)[:2]
        affine = make_map(level * most / MAX_LEVEL, size_hw)
        moved = geometric_ops.move_image(image, affine)
        return moved, geometric_ops.move_boxes(boxes, affine, size_hw)

    return Operation(apply, signed=True)


def _inside_boxes(name: str, change) -> Operation:
    def apply(image, boxes, level, probability, seed):
        changed = box_ops.on_boxes(
            image, boxes, probability, seed, lambda part, own: change(part, level, own)
        )
        return changed, boxes

    return Operation(apply, signed=name in _SIGNED, per_box=True)


def _cutout_of_box(image, boxes, level, probability, seed) -> Photo:
    fraction = level * _CUTOUT_OF_BOX / MAX_LEVEL
    return box_ops.cutout_in_box(image, boxes, fraction, seed), boxes


OPERATIONS: dict[str, Operation] = {
    **{name: _pixels_only(change) for name, change in _PIXELS_ONLY.items()},
    "BBox_Cutout": Operation(_cutout_of_box),
    **{f"{name}_BBox": _with_boxes(*how) for name, how in _WITH_BOXES.items()},
    **{f"{name}_Only_BBoxes": _inside_boxes(name, how) for name, how in _INSIDE_BOXES.items()},
}


def augment(
    image: tf.Tensor,
    boxes_normalized_yxyx: tf.Tensor,
    classes: tf.Tensor,
    seed: tf.Tensor,
    *,
    policy: str,
    randaug_num_layers: int,
    randaug_magnitude: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Applies a random sub-policy of a policy, or RandAugment.

    Args:
        image: uint8 [h, w, 3].
        boxes_normalized_yxyx: float32 [n, 4] in [0, 1].
        classes: int32 [n].
        seed: int [2].
        policy: A key of `POLICIES`, or `RANDAUG`.
        randaug_num_layers: RandAugment: number of operations in a row.
        randaug_magnitude: RandAugment: level of all operations; policies stay within 0..10.

    Returns:
        The same, without boxes that have left the image.
    """
    choice, applying = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    if policy == RANDAUG:
        names = RANDAUG_OPERATIONS
        indices = tf.random.stateless_uniform(
            [randaug_num_layers], choice, maxval=len(names), dtype=tf.int32
        )
        numbers = tf.tile([[1.0, float(randaug_magnitude)]], [randaug_num_layers, 1])
    else:
        sub_policies = POLICIES[policy]
        names, all_indices, all_numbers = _table(sub_policies)
        number = tf.random.stateless_uniform([], choice, maxval=len(sub_policies), dtype=tf.int32)
        indices, numbers = tf.gather(all_indices, number), tf.gather(all_numbers, number)

    def step(k, image, boxes, classes):
        image, boxes = _apply(
            names,
            indices[k],
            numbers[k],
            image,
            boxes,
            tf.random.experimental.stateless_fold_in(applying, k),
        )
        seen = has_area(boxes)
        return k + 1, image, tf.boolean_mask(boxes, seen), tf.boolean_mask(classes, seen)

    shapes = [[], [None, None, 3], [None, 4], [None]]
    return tf.while_loop(
        lambda k, *_: k < tf.shape(indices)[0],
        step,
        [0, image, boxes_normalized_yxyx, classes],
        shape_invariants=[tf.TensorShape(shape) for shape in shapes],
    )[1:]


def _apply(
    names: Sequence[str],
    index: tf.Tensor,
    probability_level: tf.Tensor,
    image: tf.Tensor,
    boxes: tf.Tensor,
    seed: tf.Tensor,
) -> Photo:
    """Applies operation ``names[index]`` with its probability."""
    operations = [OPERATIONS[name] for name in names]
    probability, level = tf.unstack(probability_level)
    draws = tf.random.stateless_uniform([2], seed)
    own_seed = tf.random.experimental.stateless_fold_in(seed, 1)
    per_box = tf.gather([operation.per_box for operation in operations], index)
    signed = tf.gather([operation.signed for operation in operations], index)
    level = tf.where(signed & (draws[0] < 0.5), -level, level)

    def branch(operation: Operation) -> Callable[[], Photo]:
        return lambda: operation.apply(image, boxes, level, probability, own_seed)

    happens = per_box | (draws[1] < probability)
    return tf.switch_case(
        tf.where(happens, index, len(operations)),
        [*map(branch, operations), lambda: (image, boxes)],
    )


def _table(policy: Sequence[Sequence[Step]]) -> tuple[list[str], tf.Tensor, tf.Tensor]:
    """Converts a policy to names, int32 [sub-policies, steps], and float32 [.., .., 2] of
    probability and level.

    Sub-policies are padded to the same length with steps of probability 0.
    """
    names = sorted({name for steps in policy for name, _, _ in steps})
    length = max(len(steps) for steps in policy)
    padded = [[*steps, *[(names[0], 0.0, 0.0)] * (length - len(steps))] for steps in policy]
    indices = [[names.index(name) for name, _, _ in steps] for steps in padded]
    numbers = [[[float(p), float(level)] for _, p, level in steps] for steps in padded]
    return names, tf.constant(indices, tf.int32), tf.constant(numbers, tf.float32)
