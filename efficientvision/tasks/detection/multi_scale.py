"""Multi-scale training: the input sizes of an EfficientDet's training steps.

Reference: Redmon, Farhadi 2016, https://arxiv.org/abs/1612.08242, section 2 ("Multi-scale
training"); Ge et al. 2021 (YOLOX), https://arxiv.org/abs/2107.08430.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from efficientvision.errors import UserError

Size = tuple[int, int]

# Largest `multi_scale`.
LARGEST = 0.5
# A size is kept for this many steps.
STEPS_PER_DRAW = 10
# Sides are multiples of a backbone's coarsest stride; coarser levels may have odd sizes.
SIDE_STEP = 32


def training_sizes(image_hw: Size, multi_scale: float) -> list[Size]:
    """The input sizes: `image_hw`, and up to two smaller and two larger ones.

    The longer side of the others is a multiple of `SIDE_STEP`, from (1 - `multi_scale`) to
    (1 + `multi_scale`) times its own: the outermost multiples, and those in the middle between
    them and `image_hw`. The shorter side is the multiple that is nearest to the same shape.

    Args:
        image_hw: (height, width) of the network's input, pixels.
        multi_scale: 0..`LARGEST`; 0: only `image_hw`.

    Returns:
        (height, width) of each, smallest first.
    """
    height, width = image_hw
    own = max(height, width)
    # A little more, as 1.1 * 320 is a little more than 352.
    least, most = own * (1 - multi_scale) - 1e-6, own * (1 + multi_scale) + 1e-6
    sides = range(SIDE_STEP, int(most) + 1, SIDE_STEP)
    smaller = [side for side in sides if least <= side < own]
    larger = [side for side in sides if side > own]
    chosen = set()
    if smaller:
        chosen |= {smaller[0], smaller[len(smaller) // 2]}
    if larger:
        chosen |= {larger[-1], larger[(len(larger) - 1) // 2]}
    factors = [side / own for side in chosen]
    others = [(_multiple(height * factor), _multiple(width * factor)) for factor in factors]
    return sorted([image_hw, *others])


def drawn_size(sizes: Sequence[Size], seed: int, step: int) -> Size:
    """The size of a training step; it is a function of the arguments only.

    Args:
        sizes: The sizes to draw from.
        seed: Seed of the run.
        step: Number of steps before it.
    """
    draw = random.Random(f"multi_scale {seed} {step // STEPS_PER_DRAW}").random()
    return sizes[int(draw * len(sizes))]


def check_sizes(image_hw: Size, multi_scale: float) -> None:
    """Checks that there is a size besides `image_hw`; arguments as `training_sizes`.

    Raises:
        UserError: The range has no other.
    """
    if not multi_scale or len(training_sizes(image_hw, multi_scale)) > 1:
        return
    height, width = image_hw
    own = max(image_hw)
    above = SIDE_STEP - own % SIDE_STEP
    below = own % SIDE_STEP or SIDE_STEP
    least = math.ceil(100 * (above if own <= SIDE_STEP else min(above, below)) / own) / 100
    remedy = f"{least:g} or more, or to 0" if least <= LARGEST else "0"
    raise UserError(
        f"multi_scale={multi_scale:g} leaves only the size {width}x{height}, because sides are "
        f"multiples of {SIDE_STEP} pixels: set it to {remedy}."
    )


def _multiple(side: float) -> int:
    return max(1, round(side / SIDE_STEP)) * SIDE_STEP
