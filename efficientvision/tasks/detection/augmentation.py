"""Options of the training augmentation."""

from __future__ import annotations

import dataclasses

from efficientvision.data.transforms.autoaugment_policies import POLICIES, RANDAUG
from efficientvision.data.transforms.mosaic import NUM_FRAMES
from efficientvision.errors import UserError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Augmentation of EfficientDet's training; fields have the names of the hyper-parameters.

    The order is the published code's: GridMask and AutoAugment on the whole photo, then flips and
    quarter turns, then scale jitter. Mosaic and MixUp combine the results; colours come last.

    Attributes:
        input_rand_hflip: Mirror half of the photos left to right.
        input_rand_vflip: Mirror half of the photos top to bottom.
        input_rand_rot90: Rotate by a random multiple of 90 degrees.
        jitter_min, jitter_max: Range of the scale factor; 1 fits the photo to the input.
        autoaugment_policy: A key of `POLICIES`, `RANDAUG`, or None.
        randaug_num_layers, randaug_magnitude: RandAugment's operations per photo and their level.
        grid_mask: Put a grid of black squares on two photos out of three.
        mosaic_prob: Share of examples composed of four photos.
        mixup_prob: Share of examples blended with another photo.
        hsv_jitter: Strength of the colour jitter; see `photometric.jitter_hsv`.

    Raises:
        UserError: A value is out of range.
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
    hsv_jitter: float = 0.0

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
        """Whether photos must be decoded whole, because some operation needs all of the photo."""
        return bool(self.autoaugment_policy or self.grid_mask)

    @property
    def num_mix_candidates(self) -> int:
        """Number of other photos that one example may need."""
        return (NUM_FRAMES - 1) * (self.mosaic_prob > 0) + (self.mixup_prob > 0)


@dataclasses.dataclass(frozen=True)
class SsdAugmentation:
    """Augmentation of SSD's training; fields have the names of the hyper-parameters.

    The order: flips and quarter turns, colour distortion, expansion to a larger canvas, a crop of
    it, stretched to the network's input.

    Attributes:
        input_rand_hflip, input_rand_vflip, input_rand_rot90: As in `Augmentation`.
        photometric_distortion: Distort the colours; see `transforms.photometric`.
        expand_prob: Share of photos placed on a larger canvas.
        expand_max: Largest side of that canvas, relative to the photo's.
        sample_crop: Cut out crops that show objects well; see `transforms.sample_frame`.
        mean_rgb: Colour of the canvas, 0..255.

    Raises:
        UserError: A value is out of range.
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
                "canvas expansion needs expand_prob in 0..1 and expand_max of at least 1, got "
                f"{self.expand_prob} and {self.expand_max}."
            )

    @property
    def num_mix_candidates(self) -> int:
        """Number of other photos that one example may need."""
        return 0
