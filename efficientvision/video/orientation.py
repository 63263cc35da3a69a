"""The orientation of a video: the display matrix of phone videos."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ONE = 1 << 16  # 16.16 fixed point.


class Orientation(NamedTuple):
    """The transformation of a stored picture for display: first transposed, then mirrored.

    Attributes:
        transposed: whether rows become columns.
        flipped_x: whether it is then mirrored left to right.
        flipped_y: whether it is then mirrored top to bottom.
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes | None) -> Orientation:
        """Reads FFmpeg's display matrix.

        Args:
            matrix: nine int32, rows (a b u), (c d v), (x y w): a stored pixel (p, q) is shown at
                (a p + c q + x, b p + d q + y). None: shown as stored. Angles are rounded to
                multiples of 90 degrees, as players do.
        """
        if matrix is None:
            return cls()
        a, b, _, c, d = (np.frombuffer(matrix, np.int32)[:5].astype(float) / _ONE).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transposed=True, flipped_x=c < 0, flipped_y=b < 0)
        return cls(transposed=False, flipped_x=a < 0, flipped_y=d < 0)

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """Turns a stored picture [H, W, C] upright; if transposed, the result is [W, H, C]."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        if self.flipped_x:
            picture = picture[:, ::-1]
        if self.flipped_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)
