"""Converts coordinates from the picture that was annotated to the picture that is stored.

Some tools show a photo as its EXIF tag turns it, others as the file has it, and some shrink it
first. The size that an annotation states tells which of these its coordinates belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from efficientvision.data.picture_files import UPRIGHT
from efficientvision.errors import UserError

# Wording of the report's counts.
LYING = "photos whose boxes were drawn before the EXIF tag turned them (boxes turned too)"
SCALED = "photos whose annotation states another size of the same shape (boxes scaled)"
UNSTATED = "photos without a size in their annotation"
OUTSIDE = "annotations outside their image, or with less than a pixel inside, skipped"
CUT = "boxes clipped to the edge of their image"
# Rounding error of float32 coordinates.
_SLACK = 1e-3
# Two sizes have the same shape if they agree to this many pixels: shrinking rounds.
_ROUNDING = 1.0
# Boxes may reach over the edge, so fractions may exceed 1.
_LARGEST_FRACTION = 1.5
_TINY_SIDE = 8


@dataclass(frozen=True)
class AnnotationFrame:
    """Maps the coordinates of an annotation to pixels of the upright photo.

    Attributes:
        stated_hw: Height and width of the annotated picture.
        upright_hw: Height and width of the upright photo, as stored.
        turn: EXIF orientation to apply to the coordinates; 1 if they are upright already.
        notes: Notes to count in the report.
    """

    stated_hw: tuple[int, int]
    upright_hw: tuple[int, int]
    turn: int = 1
    notes: tuple[str, ...] = ()

    def boxes(self, boxes_yxyx: np.ndarray) -> np.ndarray:
        """Maps boxes, float [n, 4] yxyx, from pixels of the annotated picture to the photo's."""
        boxes = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4)
        height, width = self.stated_hw
        ymin, xmin, ymax, xmax = (boxes / [height, width, height, width]).T
        if self.turn in (5, 6, 7, 8):
            ymin, xmin, ymax, xmax = xmin, ymin, xmax, ymax
        # Rows and columns are exchanged by now; the rest of each tag is a choice of mirrored axes.
        if self.turn in (3, 4, 7, 8):
            ymin, ymax = 1 - ymax, 1 - ymin
        if self.turn in (2, 3, 6, 7):
            xmin, xmax = 1 - xmax, 1 - xmin
        height, width = self.upright_hw
        return np.stack([ymin, xmin, ymax, xmax], axis=-1) * [height, width, height, width]

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Maps a mask [h, w] from the annotated picture to the photo (nearest pixel)."""
        picture = Image.fromarray(mask)
        if self.turn != 1:
            picture = picture.transpose(UPRIGHT[self.turn])
        height, width = self.upright_hw
        return np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))

    @property
    def area_factor(self) -> float:
        """Pixels of the photo per pixel of the annotated picture."""
        return float(np.prod(self.upright_hw) / np.prod(self.stated_hw))


def cut_at_edge(box_yxyx: np.ndarray, image_hw: tuple[int, int]) -> tuple[np.ndarray | None, bool]:
    """Clips a box to its photo.

    Args:
        box_yxyx: float [4], pixels of the photo.
        image_hw: Height and width of the photo.

    Returns:
        (box, or None if less than a pixel of an overhanging box is left; whether it reached over
        the edge by more than a rounding error).
    """
    cut = np.clip(box_yxyx, 0, [*image_hw, *image_hw])
    over = bool(np.abs(cut - box_yxyx).max() > _SLACK)
    nothing = over and (cut[2:] - cut[:2]).min() < 1
    return (None if nothing else cut), over


def seem_normalized(corners: Sequence[Sequence[float]], sides: Sequence[int | None]) -> bool:
    """Whether boxes are fractions of their photo instead of pixels.

    Args:
        corners: float [n, 4], of one photo or of a whole data set.
        sides: Heights and widths of the photos, where known.
    """
    corners = np.asarray(corners, np.float64).reshape(-1, 4)
    if not len(corners) or any(side is not None and side <= _TINY_SIDE for side in sides):
        return False
    # Boxes of one pixel with integer corners are odd, but they are pixels.
    return bool(np.abs(corners).max() <= _LARGEST_FRACTION and (corners != np.rint(corners)).any())


def find_frame(
    stated_hw: tuple[int, int] | None,
    upright_hw: tuple[int, int],
    orientation: int,
    name: str,
) -> AnnotationFrame:
    """Finds out which picture the coordinates of an annotation belong to.

    If the stated size is the upright photo's (for square photos, and for those that are mirrored or
    turned by 180 degrees, it always is): the upright photo. Otherwise the picture as it lies in the
    file; otherwise either of the two, scaled.

    Args:
        stated_hw: (height, width) stated by the annotation; None if it states none.
        upright_hw: (height, width) of the upright photo.
        orientation: EXIF tag of the file, 1..8.
        name: Name of the photo in errors.

    Raises:
        UserError: The stated size and the photo differ in shape.
    """
    if stated_hw is None:
        return AnnotationFrame(upright_hw, upright_hw, notes=(UNSTATED,))
    lying_hw = upright_hw[::-1] if orientation >= 5 else upright_hw
    if stated_hw == upright_hw:
        return AnnotationFrame(stated_hw, upright_hw)
    if stated_hw == lying_hw:
        return AnnotationFrame(stated_hw, upright_hw, orientation, (LYING,))
    if _of_one_shape(stated_hw, upright_hw):
        return AnnotationFrame(stated_hw, upright_hw, notes=(SCALED,))
    if _of_one_shape(stated_hw, lying_hw):
        return AnnotationFrame(stated_hw, upright_hw, orientation, (SCALED, LYING))
    raise UserError(
        f"the annotation of {name} is for {stated_hw[1]} x {stated_hw[0]} pixels, but the photo "
        f"has {upright_hw[1]} x {upright_hw[0]}, another shape, so the boxes cannot be placed. "
        "Correct the size in the annotation, or supply the photo that was annotated"
    )


def _of_one_shape(first_hw: tuple[int, int], second_hw: tuple[int, int]) -> bool:
    """Whether the two sizes differ only by scaling and rounding to whole pixels."""
    if min(*first_hw, *second_hw) < 1:
        return False
    (height, width), (other_height, other_width) = sorted([first_hw, second_hw])
    expected = other_width * height / other_height, other_height * width / other_width
    return abs(expected[0] - width) <= _ROUNDING or abs(expected[1] - height) <= _ROUNDING
