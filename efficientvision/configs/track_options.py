"""The options of tracking, which `PredictOptions` and `InspectSettings` share."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from efficientvision.errors import UserError

TRACK_HELP = (
    "videos: follow objects through the frames; draws their numbers and trails, writes tables of "
    "the tracks and counts each object once (needs efficientvision[track])"
)
TRACK_SECONDS_HELP = "with `track`: an object hidden for at most this many seconds keeps its number"
TRACK_MIN_FRAMES_HELP = (
    "with `track`: consecutive frames, at least 2, in which an object must be found to get a number"
)
TRACK_MIN_SCORE_HELP = (
    "with `track`: boxes with lower scores (0..1) only continue tracks; by default every box that "
    "is found may start one"
)
TRACK_ACROSS_HELP = (
    "with `track`: a track may change its class, for models that confuse classes from frame to "
    "frame; by default each class is followed on its own"
)
COUNT_LINE_HELP = (
    "with `track`: X1,Y1,X2,Y2 in pixels, a line whose crossings are counted. In: from the right "
    "hand to the left, looking from the first point to the second; so on a line from top to "
    "bottom, movements to the right of the picture are in, to the left out"
)
_COORDINATES = 4


class TrackOptions(Protocol):
    """The options that `track_settings` reads."""

    @property
    def track(self) -> bool: ...

    @property
    def track_seconds(self) -> float: ...

    @property
    def track_min_frames(self) -> int: ...

    @property
    def track_min_score(self) -> float | None: ...

    @property
    def track_across_classes(self) -> bool: ...

    @property
    def count_line(self) -> str | None: ...


@dataclasses.dataclass(frozen=True)
class TrackSettings:
    """Settings of a tracker.

    Attributes:
        hidden_seconds: A track survives this long without a detection.
        min_frames: Consecutive frames before a track gets a number.
        min_score: Minimum score of a detection that starts a track.
        across_classes: Whether a track may change its class.
        line_xyxy: x and y of both ends of the counting line, in pixels; None: no line.
    """

    hidden_seconds: float = 1.0
    min_frames: int = 3
    min_score: float = 0.0
    across_classes: bool = False
    line_xyxy: tuple[float, float, float, float] | None = None


def track_settings(options: TrackOptions) -> TrackSettings | None:
    """Checks the options; None without tracking.

    Raises:
        UserError: A value is out of range, or an option needs `track`.
    """
    defaults = TrackSettings()
    if not options.track:
        unused = {
            "track_seconds": options.track_seconds != defaults.hidden_seconds,
            "track_min_frames": options.track_min_frames != defaults.min_frames,
            "track_min_score": options.track_min_score is not None,
            "track_across_classes": options.track_across_classes,
            "count_line": options.count_line is not None,
        }
        for name, is_set in unused.items():
            if is_set:
                raise UserError(f"`{name}` needs `track`.")
        return None
    if options.track_seconds < 0:
        raise UserError(f"`track_seconds={options.track_seconds}`: must not be negative.")
    if options.track_min_frames < 2:  # One frame is no track.
        raise UserError(f"`track_min_frames={options.track_min_frames}`: must be at least 2.")
    score = options.track_min_score or 0.0
    if not 0 <= score <= 1:
        raise UserError(f"`track_min_score={score}`: must be in 0..1.")
    line = None if options.count_line is None else _parse_line(options.count_line)
    return TrackSettings(
        options.track_seconds, options.track_min_frames, score, options.track_across_classes, line
    )


def _parse_line(text: str) -> tuple[float, float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != _COORDINATES or numbers[:2] == numbers[2:]:
        raise UserError(
            f"`count_line={text}`: expected X1,Y1,X2,Y2, two different points in pixels, such as "
            "0,360,1280,360."
        )
    x1, y1, x2, y2 = numbers
    return x1, y1, x2, y2
