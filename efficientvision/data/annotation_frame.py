"""From the picture that somebody drew boxes on to the picture that is stored.

Tools show a photo as its EXIF tag turns it, or as the file has it; some shrink it first. The size
that an annotation states tells which of these its coordinates belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from efficientvision.data.picture_files import UPRIGHT
from efficientvision.errors import UserError

# As reports count them.
LYING = "photos whose boxes were drawn before the EXIF tag turned them (boxes turned too)"
SCALED = "photos whose annotation states another size of the same shape (boxes scaled)"
UNSTATED = "photos of which the annotation states no size"
OUTSIDE = "annotations outside of their image, or with less than a pixel in it, skipped"
CUT = "boxes that passed the edge of their image cut there"
# A rounding error of float32 coordinates.
_SLACK = 1e-3
# Sizes that were rounded when a photo was shrunk are of one shape within so many pixels.
_ROUNDING = 1.0
# Fractions of boxes over the edge pass 1.
_LARGEST_FRACTION = 1.5
_TINY_SIDE = 8


@dataclass(frozen=True)
class AnnotationFrame:
    """How coordinates of an annotation become pixels of the upright photo.

    Attributes:
        stated_hw: height and width of the picture that the coordinates belong to.
        upright_hw: those of the photo as it is stored.
        turn: the EXIF tag by which the coordinates are to be turned; 1: they are upright.
        notes: what is to be counted in a report.
    """

    stated_hw: tuple[int, int]
    upright_hw: tuple[int, int]
    turn: int = 1
    notes: tuple[str, ...] = ()

    def boxes(self, boxes_yxyx: np.ndarray) -> np.ndarray:
        """float [n, 4], ymin, xmin, ymax, xmax in pixels: of the annotation's -> of the photo."""
        boxes = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4)
        height, width = self.stated_hw
        ymin, xmin, ymax, xmax = (boxes / [height, width, height, width]).T
        if self.turn in (5, 6, 7, 8):
            ymin, xmin, ymax, xmax = xmin, ymin, xmax, ymax
        # After the exchange of rows and columns, each tag is a choice of mirrored axes.
        if self.turn in (3, 4, 7, 8):
            ymin, ymax = 1 - ymax, 1 - ymin
        if self.turn in (2, 3, 6, 7):
            xmin, xmax = 1 - xmax, 1 - xmin
        height, width = self.upright_hw
        return np.stack([ymin, xmin, ymax, xmax], axis=-1) * [height, width, height, width]

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask [h, w] of the annotation's frame -> of the photo's, by the nearest pixels."""
        picture = Image.fromarray(mask)
        if self.turn != 1:
            picture = picture.transpose(UPRIGHT[self.turn])
        height, width = self.upright_hw
        return np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))

    @property
    def area_factor(self) -> float:
        """Pixels of the photo for each pixel of the annotation."""
        return float(np.prod(self.upright_hw) / np.prod(self.stated_hw))


def cut_at_edge(box_yxyx: np.ndarray, image_hw: tuple[int, int]) -> tuple[np.ndarray | None, bool]:
    """A box without what lies over the edge of its photo.

    Args:
        box_yxyx: float [4], pixels of the photo.
        image_hw: the photo's height and width.

    Returns:
        (the box, or None where less than a pixel of one over the edge is left; whether it was over
        the edge, by more than a rounding error).
    """
    cut = np.clip(box_yxyx, 0, [*image_hw, *image_hw])
    over = bool(np.abs(cut - box_yxyx).max() > _SLACK)
    nothing = over and (cut[2:] - cut[:2]).min() < 1
    return (None if nothing else cut), over


def seem_normalized(corners: Sequence[Sequence[float]], sides: Sequence[int | None]) -> bool:
    """Whether boxes are fractions of their photo rather than pixels.

    Args:
        corners: float [n, 4], of one photo or of a whole set.
        sides: heights and widths of photos, as far as known.
    """
    corners = np.asarray(corners, np.float64).reshape(-1, 4)
    if not len(corners) or any(side is not None and side <= _TINY_SIDE for side in sides):
        return False
    # Boxes of one pixel in whole numbers are odd, and pixels all the same.
    return bool(np.abs(corners).max() <= _LARGEST_FRACTION and (corners != np.rint(corners)).any())


def find_frame(
    stated_hw: tuple[int, int] | None,
    upright_hw: tuple[int, int],
    orientation: int,
    name: str,
) -> AnnotationFrame:
    """Which picture the coordinates of an annotation belong to.

    The upright photo where the stated size fits it, which a square one and one turned by 180
    degrees or mirrored always does; else the file's lying picture; else either of them shrunk or
    enlarged.

    Args:
        stated_hw: (height, width) that the annotation states; None: it states nothing.
        upright_hw: those of the upright photo.
        orientation: the file's EXIF tag, 1..8.
        name: what an error calls the photo.

    Raises:
        UserError: the stated size has another shape than the photo.
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
        f"the annotation of {name} is for {stated_hw[1]} x {stated_hw[0]} pixels, and the photo "
        f"has {upright_hw[1]} x {upright_hw[0]}, of another shape: the boxes cannot be placed. "
        "Correct the size that the annotation states, or give the photo that was annotated"
    )


def _of_one_shape(first_hw: tuple[int, int], second_hw: tuple[int, int]) -> bool:
    """Whether one picture is the other, scaled and rounded to whole pixels."""
    if min(*first_hw, *second_hw) < 1:
        return False
    (height, width), (other_height, other_width) = sorted([first_hw, second_hw])
    expected = other_width * height / other_height, other_height * width / other_width
    return abs(expected[0] - width) <= _ROUNDING or abs(expected[1] - height) <= _ROUNDING
