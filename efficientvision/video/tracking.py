"""Follows detections through the frames of a video with ByteTrack."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from efficientvision.configs.track_options import TrackSettings
from efficientvision.errors import UserError

# ByteTrack counts the life of a lost track in frames of 1/30 s.
_BUFFER_RATE = 30.0
# A detection is either sure enough to start a track or not: scores differ by class.
_STARTS, _CONTINUES = 1.0, 0.1
_THRESHOLD = 0.5


def load_trackers() -> Any:
    """Imports the package trackers.

    Raises:
        UserError: It is not installed.
    """
    try:
        import trackers
    except ImportError as error:
        raise UserError(
            "`track` needs the package trackers: pip install 'efficientvision[track]'"
        ) from error
    return trackers


class Tracker:
    """Numbers the objects of a video: 1, 2, ... in the order in which they appear.

    Association is by position alone, so a detection whose class changes for some frames keeps its
    number.

    Args:
        settings: Settings of the tracker.
        rate: Frames per second.

    Raises:
        UserError: The package trackers is not installed.

    Reference: Zhang et al., ByteTrack (ECCV 2022), in the implementation of the package trackers.
    """

    def __init__(self, settings: TrackSettings, rate: float):
        self._tracker = load_trackers().ByteTrackTracker(
            lost_track_buffer=round(settings.hidden_seconds * _BUFFER_RATE),
            frame_rate=rate,
            track_activation_threshold=_THRESHOLD,
            high_conf_det_threshold=_THRESHOLD,
            minimum_consecutive_frames=settings.min_frames,
        )
        self._min_score = settings.min_score

    def update(self, boxes_yxyx: np.ndarray, scores: np.ndarray, seconds: float) -> np.ndarray:
        """Follows the objects into the next frame.

        Args:
            boxes_yxyx: float [N, 4], ymin, xmin, ymax, xmax in pixels.
            scores: float [N] in 0..1.
            seconds: Time of the frame.

        Returns:
            int64 [N]: the number of each object; 0: it is not, or not yet, part of a track.
        """
        confidence = np.where(scores >= self._min_score, _STARTS, _CONTINUES)
        found = _detections(boxes_yxyx, confidence=confidence, class_id=np.arange(len(scores)))
        found = self._tracker.update(found, timestamp=seconds)
        numbers = np.zeros(len(scores), np.int64)
        if len(found):  # In another order than before; `class_id` is the place.
            numbers[found.class_id] = found.tracker_id + 1
        return numbers


class LineCounter:
    """Counts the tracks whose centres cross a line.

    Args:
        line_xyxy: x and y of both ends in pixels.

    Attributes:
        entered: Class number -> crossings from the left side to the right, looking along the line.
        left: Class number -> crossings the other way.
    """

    def __init__(self, line_xyxy: tuple[float, float, float, float]):
        import supervision

        x1, y1, x2, y2 = line_xyxy
        self._zone = supervision.LineZone(
            supervision.Point(x1, y1),
            supervision.Point(x2, y2),
            triggering_anchors=(supervision.Position.CENTER,),
        )
        self.entered: Counter[int] = Counter()
        self.left: Counter[int] = Counter()

    def update(self, boxes_yxyx: np.ndarray, classes: np.ndarray, numbers: np.ndarray) -> None:
        """Counts the crossings of a frame; `numbers` are those of `Tracker.update`, above 0."""
        found = _detections(boxes_yxyx, class_id=classes, tracker_id=numbers)
        entered, left = self._zone.trigger(found)
        self.entered.update(np.asarray(classes)[entered].tolist())
        self.left.update(np.asarray(classes)[left].tolist())


def _detections(boxes_yxyx: np.ndarray, **values: np.ndarray) -> Any:
    import supervision

    boxes = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4)
    return supervision.Detections(xyxy=boxes[:, [1, 0, 3, 2]], **values)
