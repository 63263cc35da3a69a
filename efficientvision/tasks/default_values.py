"""Defaults derived from training data: pure functions from facts to values with reasons.

The constants come from runs from random weights on small sets (BCCD, digits, generated shapes);
long runs have the published values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

RANDOM, BACKBONE, CHECKPOINT = "random weights", "a pretrained backbone", "a trained network"

# A run from random weights needs this many images in total, whatever the number of photos.
_IMAGES = {RANDOM: 20_000, BACKBONE: 12_000, CHECKPOINT: 5_000}
# With more photos, each is seen this often; 36 epochs are detection's usual "3x" schedule.
_PASSES = {RANDOM: 36, BACKBONE: 24, CHECKPOINT: 12}
MOST_PASSES = 300  # As often as the published recipe shows each photo.
_PASSES_PER_EPOCH = 20
_EVALUATIONS = 10
_LEAST_STEPS = 1400
LARGEST_BATCH = {"CPU": 16, "GPU": 64, "TPU": 64}
_USUAL_LEAST_BATCH = 4
SHORT_RUN = 20_000  # Steps below which Adam is ahead of SGD.
_HIGHEST_ADAM_RATE = 4e-3
# Rates from this one on are meant for SGD.
_RATE_OF_SGD = 5e-3
_WARMUP_SHARE, _WARMUP_STEPS = 0.07, 500
_AVERAGE_DECAY, _RAMP = 0.9998, 9
_CELL = 16  # Pixels of the smallest objects: two cells of the finest feature level.
_SIDE_STEP, _SHORT_SIDE_STEP = 64, 16
_LEAST_SIDE = 256
_MOST_ENLARGED = {"CPU": 1.5, "GPU": 2.0, "TPU": 2.0}
_SQUARE = 1.1
_LONGEST = 2.0
_SAME_SHAPE, _OF_SAME_SHAPE = 1.15, 0.8
_FEW_BOXES = 10


@dataclasses.dataclass(frozen=True)
class Choice:
    """A value for an option or hyper-parameter that is not set.

    Attributes:
        name: Name of the option or hyper-parameter.
        value: The value.
        reason: Why, in a few words.
    """

    name: str
    value: Any
    reason: str


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """Facts about the training data. N photos were looked at, with M boxes.

    Attributes:
        num_photos: Number of training photos; N is smaller if only a sample was read.
        photo_hw: int [N, 2], heights and widths in pixels; N = 0: unknown.
        boxes_normalized_yxyx: float [M, 4], in 0..1.
        classes: int [M].
        image_of: int [M], index of each box's photo.
        largest_class: Largest class id; None if it is unknown or not all records were read.
    """

    num_photos: int
    photo_hw: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2), int))
    boxes_normalized_yxyx: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4)))
    classes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    image_of: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    largest_class: int | None = None

    @property
    def most_objects(self) -> int:
        """Largest number of boxes in a photo."""
        return int(np.bincount(self.image_of, minlength=1).max())

    @property
    def size_text(self) -> str:
        """The median photo size, as WIDTHxHEIGHT."""
        height, width = np.median(self.photo_hw, axis=0)
        return f"{width:.0f}x{height:.0f}"


@dataclasses.dataclass(frozen=True)
class Machine:
    """The devices of a run.

    Attributes:
        device: "CPU", "GPU" or "TPU".
        replicas: Number of replicas that share a batch.
        free_bytes: Free memory for each replica; None: unknown.
    """

    device: str = "CPU"
    replicas: int = 1
    free_bytes: float | None = None


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Settings of a short run with Adam for weights that are already trained.

    Attributes:
        rate: Factor on the learning rate of a run from random weights.
        frozen: Share of the run (0..1) in which the backbone is frozen; 0: never.
        layer_decay: Hyper-parameter `layer_decay`.
        backbone_bn: Hyper-parameter `backbone_bn`.
    """

    rate: float = 1.0
    frozen: float = 0.0
    layer_decay: float = 1.0
    backbone_bn: str = "follow"


def transfer_choices(transfer: Transfer, epochs: float, freeze_is_open: bool) -> list[Choice]:
    """Returns the hyper-parameters of a `Transfer` that differ from their defaults.

    Args:
        transfer: The task's values for what the run starts from.
        epochs: Length of the run in epochs.
        freeze_is_open: Whether the user has not set `freeze`.
    """
    choices = []
    if transfer.frozen and freeze_is_open:
        until = two_digits(transfer.frozen * epochs)
        reason = f"the new parts learn first, in {transfer.frozen:.0%} of the run"
        choices += [
            Choice("freeze", ["backbone"], reason),
            Choice("unfreeze_epoch", until, f"of {epochs:.3g} epochs"),
        ]
    if transfer.layer_decay != 1.0:
        reason = "early stages of a trained backbone are general and change little"
        choices.append(Choice("layer_decay", transfer.layer_decay, reason))
    if transfer.backbone_bn != "follow":
        reason = "its statistics come from far more images than a batch has"
        choices.append(Choice("backbone_bn", transfer.backbone_bn, reason))
    return choices


def passes_needed(num_photos: int, start: str) -> tuple[int, str]:
    """Returns how often a run should see each photo, and the reason.

    Args:
        num_photos: Number of training photos.
        start: `RANDOM`, `BACKBONE` or `CHECKPOINT`.
    """
    needed, usual = _IMAGES[start], _PASSES[start]
    if usual * num_photos >= needed:
        return usual, f"{num_photos:,} photos, from {start}"
    passes = math.ceil(needed / num_photos)
    if passes > MOST_PASSES:
        return MOST_PASSES, f"only {num_photos:,} photos: more passes would overfit"
    reason = f"a run from {start} needs about {needed:,} images"
    return passes, reason


def epoch_length(passes: int) -> tuple[int, int]:
    """Splits passes over the photos into epochs, each of which ends with an evaluation.

    Returns:
        (passes per epoch, number of epochs).
    """
    each = min(max(1, passes // _EVALUATIONS), _PASSES_PER_EPOCH)
    return each, max(1, round(passes / each))


def batch_size(
    num_photos: int,
    images: int,
    machine: Machine,
    *,
    fixed_bytes: float = 0.0,
    image_bytes: float = 0.0,
    micro_batches: int = 1,
) -> tuple[int, str]:
    """Returns the batch size over all replicas, and the reason.

    Each micro-batch is the largest power of two that fits the memory, leaves enough steps, and
    is useful on this kind of device.

    Args:
        num_photos: Number of training photos.
        images: Number of images that the run sees.
        machine: Devices of the run.
        fixed_bytes: Memory that a run needs besides its images.
        image_bytes: Memory that each image of a micro-batch needs in training; 0: unknown.
        micro_batches: Number of micro-batches on each replica.
    """
    parts = machine.replicas * micro_batches
    enough = max(images // _LEAST_STEPS, _USUAL_LEAST_BATCH)
    limits = [
        (
            LARGEST_BATCH[machine.device] * machine.replicas,
            f"the largest usual on a {machine.device}",
        ),
        (enough, f"{images:,} images in at least {_LEAST_STEPS:,} steps"),
        (num_photos, f"{num_photos:,} photos"),
    ]
    known = image_bytes > 0 and machine.free_bytes is not None
    if known:
        room = (machine.free_bytes or 0.0) - fixed_bytes
        limits.append((int(room / image_bytes) * parts, "more would not fit the memory"))
    limit, reason = min(limits)
    each = _power_of_two(limit // parts)
    batch = each * parts
    if known:
        need, free = (_gib(x) for x in (fixed_bytes + each * image_bytes, machine.free_bytes))
        reason += f"; needs about {need} of {free}"
    if machine.replicas > 1:
        each_device = batch // machine.replicas
        reason = f"{each_device} on each of {machine.replicas} devices: {reason}"
    return batch, reason


def _power_of_two(number: int) -> int:
    return 2 ** (max(1, number).bit_length() - 1)


def _gib(count: float | None) -> str:
    count = count or 0.0
    return f"{count / 2**30:.1f} GiB"


def optimizer(steps: int, learning_rate: float | None) -> tuple[str, str]:
    """Returns the optimizer for a run, and the reason.

    Args:
        steps: Length of the run.
        learning_rate: The rate, if the user set it.
    """
    if learning_rate is not None and learning_rate >= _RATE_OF_SGD:
        return "sgd", f"learning_rate={learning_rate:g} is a rate for sgd"
    if steps >= SHORT_RUN:
        return "sgd", f"as published; {steps:,} steps are enough for it"
    return "adam", f"{steps:,} steps are few for sgd"


def adam_rate(batch: int, usual: tuple[float, int], share: float = 1.0) -> tuple[float, str]:
    """Returns Adam's learning rate for a batch size, and the reason.

    Args:
        batch: Global batch size.
        usual: (rate, batch size) that worked; other batches by the square root of their ratio.
        share: Factor for networks that are already trained.
    """
    rate, at = usual
    scaled = min(rate * math.sqrt(batch / at), _HIGHEST_ADAM_RATE) * share
    reason = f"adam, batch {batch}"
    if share != 1.0:
        reason += ", the network is already trained"
    return two_digits(scaled), reason


def recipe_choices(
    steps: int, epochs: float, *, decay: float, momentum: float, adam: bool, warmup_init: float
) -> list[Choice]:
    """Returns warm-up, schedule, weight averages and batch norm for the length of a run.

    Args:
        steps: Length of the run.
        epochs: The same in epochs.
        decay: Published decay of the weight averages; 0: none.
        momentum: Published momentum of batch norm.
        adam: Whether the optimizer is Adam or AdamW.
        warmup_init: Published learning rate at the first step.
    """
    warmup = min(round(_WARMUP_SHARE * steps), _WARMUP_STEPS)
    per_epoch = steps / epochs
    # Rounding must not lose a step to `int()`.
    length = math.ceil(1e4 * warmup / per_epoch) / 1e4
    short = steps < SHORT_RUN
    average = decay or (_AVERAGE_DECAY if short else 0.0)
    # The averages ramp up with the steps, so that one decay suits runs of any length.
    memory = min(1 / (1 - average), (steps + 10) / _RAMP)
    averages = f"averages the weights of the last {memory:,.0f} of {steps:,} steps"
    choices = [
        Choice("lr_warmup_epoch", length, f"{warmup} of {steps:,} steps"),
        Choice("lr_warmup_init", 0.0 if adam else warmup_init, "the first step's learning rate"),
        Choice("lr_decay_method", "cosine", "falls to 0 at the last step"),
        Choice("moving_average_decay", average, averages if average else "as published"),
    ]
    if short and momentum > 0.9:
        choices.append(
            Choice("bn_momentum", 0.9, f"statistics of the last 10 of {steps:,} steps, not 100")
        )
    return choices


def two_digits(number: float) -> float:
    """Rounds a number to two significant digits."""
    return float(f"{number:.2g}")


def smallest_objects(facts: DataFacts) -> tuple[int, float] | None:
    """Finds the class with the smallest objects.

    Returns:
        (class id, median of its boxes' shorter sides as a share of the photo's longer side); None
        without boxes. Classes of a few boxes count only if there are no others.
    """
    sizes = facts.photo_hw[facts.image_of]
    boxes = facts.boxes_normalized_yxyx
    sides = (boxes[:, 2:] - boxes[:, :2]) * sizes
    shorter = sides.min(axis=-1, initial=np.inf) / sizes.max(axis=-1, initial=1)
    real = np.isfinite(shorter) & (shorter > 0)
    shares = {}
    for least in (_FEW_BOXES, 1):
        for class_id in np.unique(facts.classes[real]):
            own = shorter[real & (facts.classes == class_id)]
            if len(own) >= least:
                shares[int(class_id)] = float(np.median(own))
        if shares:
            break
    return min(shares.items(), key=lambda item: item[1]) if shares else None


def common_aspect(photo_hw: np.ndarray) -> float:
    """Returns width / height of most photos, 1 if they differ or are nearly square."""
    if not len(photo_hw):
        return 1.0
    ratios = photo_hw[:, 1] / photo_hw[:, 0]
    median = float(np.median(ratios))
    alike = np.abs(np.log(ratios / median)) < math.log(_SAME_SHAPE)
    long = max(median, 1 / median)
    if alike.mean() < _OF_SAME_SHAPE or long < _SQUARE:
        return 1.0
    return median if long <= _LONGEST else _LONGEST ** math.copysign(1, math.log(median))


def shaped(side: int, aspect: float) -> tuple[int, int]:
    """Returns (height, width) with this longer side, and the aspect (width / height)."""
    short = side / max(aspect, 1 / aspect)
    short = max(_SHORT_SIDE_STEP, round(short / _SHORT_SIDE_STEP) * _SHORT_SIDE_STEP)
    return (short, side) if aspect >= 1 else (side, short)


def size_text(image_hw: tuple[int, int]) -> str:
    """A size as hyper-parameters take it: 320 or WIDTHxHEIGHT."""
    height, width = image_hw
    return f"{width}" if width == height else f"{width}x{height}"


def detector_input(
    facts: DataFacts, published: int, device: str, names: Mapping[int, str]
) -> Choice:
    """Chooses a detector's input: the photos' shape, and large enough for the smallest objects.

    On a CPU it may be down to half the published size if the objects are large; on an accelerator
    it is never smaller than published.

    Args:
        facts: The data.
        published: Side of the published input, pixels.
        device: "CPU", "GPU" or "TPU".
        names: Class id -> name.
    """
    if not len(facts.photo_hw):
        return Choice("image_size", str(published), "as published: the photo sizes are unknown")
    photo_side = int(np.median(facts.photo_hw.max(axis=-1)))
    least = max(_LEAST_SIDE, published // 2) if device == "CPU" else published
    least = min(least, published)
    most = max(published, min(photo_side, int(published * _MOST_ENLARGED[device])))
    aspect = common_aspect(facts.photo_hw)
    smallest = smallest_objects(facts)
    if smallest is None:
        return Choice("image_size", size_text(shaped(published, aspect)), _shape(facts, aspect))
    class_id, share = smallest
    needed = math.ceil(_CELL / share / _SIDE_STEP) * _SIDE_STEP
    side = min(max(needed, least), most)
    name = names.get(class_id, f"class {class_id}")
    small = f"the smallest objects, {name}, are {share * side:.0f} pixels wide in it"
    reason = f"{_shape(facts, aspect)}; {small}"
    return Choice("image_size", size_text(shaped(side, aspect)), reason)


def _shape(facts: DataFacts, aspect: float) -> str:
    if aspect == 1.0 and len(np.unique(facts.photo_hw, axis=0)) > 1:
        return f"photos are of many shapes, about {facts.size_text}"
    return f"photos are {facts.size_text}"
