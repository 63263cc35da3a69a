"""Plays the frames of a file no faster than real time."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

from PIL import Image

from efficientvision.video.source import Frame

_LONGEST_SECONDS = 2.0


class Pacing:
    """A sink that waits until a frame is due; put it before the sink that shows frames.

    After a delay, frames are not played faster to catch up; long gaps between frames are shortened.

    Args:
        time_base: unit of `Frame.pts` in seconds.
    """

    def __init__(self, time_base: Fraction):
        self._time_base = time_base
        self._start: float | None = None

    def show(self, frame: Frame, picture: Image.Image, detections: Any) -> None:
        """Waits until the frame is due."""
        del picture, detections
        due = float(frame.pts * self._time_base)
        now = time.monotonic()
        early = 0.0 if self._start is None else self._start + due - now
        wait = min(max(early, 0.0), _LONGEST_SECONDS)
        time.sleep(wait)
        self._start = now + wait - due
