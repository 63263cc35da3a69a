"""Detects masks whose values are grey levels of a picture instead of class numbers."""

from __future__ import annotations

import numpy as np

from efficientvision.data.masks.mask_files import IGNORED
from efficientvision.errors import UserError

_PALETTE = (
    "map each grey to its class with `palette`, a file with lines of R G B name such as 0 0 0 "
    "background and 255 255 255 crack (greys in between go to the nearest one)"
)
_LISTED = 12
# Without class names: greys, if so few of the values up to the highest one occur, or if the others
# occur only at the edges of a few greys.
_LEAST_SHARE = 0.25
_LEAST_SHARE_BY_WEIGHT = 0.05
_LEAST_HIGHEST = 10
# White with a few specks of other values is a class; 255 for "no class" is less than all classes.
_WHITE_TO_OTHERS = 20


def refuse_grey_levels(
    pixels: np.ndarray, *, named: bool = False, white_is_ignored: bool = False
) -> None:
    """Stops a conversion whose masks are black and white, or shades of grey.

    Args:
        pixels: int [256], pixels of each class in all masks.
        named: Whether the classes have names, so that 0 to the highest are meant as classes.
        white_is_ignored: Whether 255 is known to mean "no class".

    Raises:
        UserError: The masks contain a single class, or their values are greys.
    """
    classes = pixels[:IGNORED]
    present = np.flatnonzero(classes)
    if len(present) < 2:
        only = f"class {present[0]}" if len(present) else "no class"
        raise UserError(
            f"The masks contain {only} and nothing else besides {IGNORED}, which is ignored: for "
            f"masks in black and white, {_PALETTE}."
        )
    highest = int(present[-1])
    shares = len(present) / (highest + 1), _effective(pixels[1:]) / (highest + 1)
    is_sparse = shares[0] <= _LEAST_SHARE or shares[1] <= _LEAST_SHARE_BY_WEIGHT
    if is_sparse and highest >= _LEAST_HIGHEST and not named:
        raise UserError(
            f"The masks have the values {_listed(pixels)}, which look like greys, not like classes "
            f"numbered from 0: {_PALETTE}. If they are classes, name all of them with "
            "`class_names`."
        )
    if not white_is_ignored and pixels[IGNORED] > _WHITE_TO_OTHERS * classes[1:].sum():
        share = pixels[IGNORED] / pixels.sum()
        raise UserError(
            f"The masks have the values {_listed(pixels)}, and {IGNORED}, which is ignored, makes "
            f"up {share:.0%} of their pixels, many times more than classes 1 and above: for masks "
            f"in black and white, {_PALETTE}. If {IGNORED} means no class, set "
            f"`ignore_label={IGNORED}`."
        )


class BlackAndWhite:
    """Tells masks of 0 and 255 from masks of 0 and 1, which together look like masks of classes."""

    def __init__(self) -> None:
        self._white: tuple[str, np.ndarray] | None = None
        self._numbered: tuple[str, np.ndarray] | None = None
        self._is_said = False

    def add(self, name: str, pixels: np.ndarray) -> None:
        """Adds a mask: its name, and int [256], the pixels of each of its classes."""
        has_class, has_white = bool(pixels[1:IGNORED].any()), bool(pixels[IGNORED])
        if has_class and has_white:
            self._is_said = True  # Here 255 marks the border of a class, or unknown pixels.
        elif has_white and self._white is None:
            self._white = name, pixels
        elif has_class and self._numbered is None:
            self._numbered = name, pixels

    def refuse(self) -> None:
        """Stops a conversion of both kinds, if 255 and classes never occur in the same mask.

        Raises:
            UserError: The masks are of both kinds.
        """
        if self._is_said or self._white is None or self._numbered is None:
            return
        white, numbered = (
            f"{name} has the values {_listed(pixels)}"
            for name, pixels in (self._white, self._numbered)
        )
        raise UserError(
            f"The mask {white}, and {numbered}, and no mask has both {IGNORED} and a class above "
            f"0: if {IGNORED} is what other masks call 1, map both with `palette`, a file with "
            "lines such as 0 0 0 background, 1 1 1 crack and 255 255 255 crack; if it means no "
            f"class, set `ignore_label={IGNORED}`."
        )


def _effective(pixels: np.ndarray) -> float:
    """Effective number of values: the exponential of their entropy."""
    shares = pixels[pixels > 0] / pixels.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _listed(pixels: np.ndarray) -> str:
    values = np.flatnonzero(pixels).tolist()
    if len(values) <= _LISTED:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[: _LISTED - 1]))}, ... {values[-1]}"
