"""What training does to its photos, as data."""

from __future__ import annotations

import dataclasses

from efficientvision.data.transforms.autoaugment_policies import POLICIES, RANDAUG
from efficientvision.data.transforms.mosaic import NUM_FRAMES
from efficientvision.errors import UserError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to the photos; the names are those of the hyper-parameters.

    The order is that of the published code: GridMask and AutoAugment on the whole photo, then
    flips and quarter turns, then scale jitter; mosaic and MixUp combine what comes out.

    Attributes:
        input_rand_hflip: mirror half of the photos left to right.
        input_rand_vflip: mirror half of them top to bottom.
        input_rand_rot90: turn by a random number of quarter turns.
        jitter_min, jitter_max: range of the scale factor; 1 fits the photo to the input.
        autoaugment_policy: a key of `POLICIES`, `RANDAUG`, or None.
        randaug_num_layers, randaug_magnitude: RandAugment: operations a photo, and their level.
        grid_mask: black squares in a grid on two of three photos.
        mosaic_prob: share of the examples that are put together from four photos.
        mixup_prob: share of the examples that are blended with another photo.

    Raises:
        UserError: a value makes no sense.
    """

    input_rand_hflip: bool = True
    input_rand_vflip: bool = False
    input_rand_rot90: bool = False
    jitter_min: float = 0.1
    jitter_max: float = 2.0
    autoaugment_policy: str | None = None
    randaug_num_layers: int = 1
    randaug_magnitude: float = 15.0
    grid_mask: bool = False
    mosaic_prob: float = 0.0
    mixup_prob: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.jitter_min <= self.jitter_max:
            raise UserError(
                "scale jitter needs 0 < jitter_min <= jitter_max, got "
                f"{self.jitter_min} and {self.jitter_max}."
            )
        known = (*POLICIES, RANDAUG)
        if self.autoaugment_policy and self.autoaugment_policy not in known:
            raise UserError(
                f"autoaugment_policy must be one of {', '.join(known)}; "
                f"got {self.autoaugment_policy!r}."
            )

    @property
    def needs_whole_photo(self) -> bool:
        """Whether a photo is decoded whole: some operations look at, or move, all of it."""
        return bool(self.autoaugment_policy or self.grid_mask)

    @property
    def num_partners(self) -> int:
        """How many other photos one example may need."""
        return (NUM_FRAMES - 1) * (self.mosaic_prob > 0) + (self.mixup_prob > 0)


@dataclasses.dataclass(frozen=True)
class SsdAugmentation:
    """What training does to the photos of an SSD; the names are those of the hyper-parameters.

    The order: flips and quarter turns, colours, a larger canvas, a part of it, stretched to the
    network's input.

    Attributes:
        input_rand_hflip, input_rand_vflip, input_rand_rot90: as in `Augmentation`.
        photometric_distortion: distort the colours, see `transforms.photometric`.
        expand_prob: share of the photos that are put on a larger canvas.
        expand_max: greatest sides of that canvas, in those of the photo.
        sample_crop: cut out parts that show objects well, see `transforms.sample_frame`.
        mean_rgb: colour of the canvas, 0..255.

    Raises:
        UserError: a value makes no sense.
    """

    input_rand_hflip: bool = True
    input_rand_vflip: bool = False
    input_rand_rot90: bool = False
    photometric_distortion: bool = True
    expand_prob: float = 0.5
    expand_max: float = 4.0
    sample_crop: bool = True
    mean_rgb: tuple[float, ...] = (123.675, 116.28, 103.53)

    def __post_init__(self) -> None:
        if not (0 <= self.expand_prob <= 1 and self.expand_max >= 1):
            raise UserError(
                "the larger canvas needs expand_prob in 0..1 and expand_max of 1 or more, got "
                f"{self.expand_prob} and {self.expand_max}."
            )

    @property
    def num_partners(self) -> int:
        """How many other photos one example may need."""
        return 0
