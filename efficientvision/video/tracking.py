"""Follows detections through the frames of a video with ByteTrack."""

from __future__ import annotations

import functools
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

    Each class is followed on its own, so objects of different classes that cross keep their
    numbers; with `settings.across_classes` a track may change its class.

    Args:
        settings: Settings of the tracker.
        rate: Frames per second.

    Raises:
        UserError: The package trackers is not installed.

    Reference: Zhang et al., ByteTrack (ECCV 2022), in the implementation of the package trackers.
    """

    def __init__(self, settings: TrackSettings, rate: float):
        self._new_tracker = functools.partial(
            load_trackers().ByteTrackTracker,
            lost_track_buffer=round(settings.hidden_seconds * _BUFFER_RATE),
            frame_rate=rate,
            track_activation_threshold=_THRESHOLD,
            high_conf_det_threshold=_THRESHOLD,
            minimum_consecutive_frames=settings.min_frames,
        )
        self._min_score = settings.min_score
        self._across_classes = settings.across_classes
        self._trackers: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int], int] = {}

    def update(
        self, boxes_yxyx: np.ndarray, scores: np.ndarray, classes: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Follows the objects into the next frame.

        Args:
            boxes_yxyx: float [N, 4], ymin, xmin, ymax, xmax in pixels.
            scores: float [N] in 0..1.
            classes: int [N].
            seconds: Time of the frame.

        Returns:
            int64 [N]: the number of each object; 0: it is not, or not yet, part of a track.
        """
        confidence = np.where(scores >= self._min_score, _STARTS, _CONTINUES)
        groups = np.zeros(len(scores), np.int64) if self._across_classes else np.asarray(classes)
        for group in groups.tolist():
            if group not in self._trackers:
                self._trackers[group] = self._new_tracker()
        numbers = np.zeros(len(scores), np.int64)
        for group, tracker in self._trackers.items():
            places = np.flatnonzero(groups == group)
            found = tracker.update(
                _detections(boxes_yxyx[places], confidence=confidence[places], class_id=places),
                timestamp=seconds,
            )
            if not len(found):
                continue
            # In another order than before; `class_id` is the place.
            for place, number in zip(found.class_id, found.tracker_id.tolist(), strict=True):
                if number >= 0:
                    key = (group, number)
                    numbers[place] = self._numbers.setdefault(key, len(self._numbers) + 1)
        return numbers


class LineCounter:
    """Counts the tracks whose centres cross a line.

    Args:
        line_xyxy: x and y of both ends in pixels.

    Attributes:
        entered: Class number -> crossings from the right hand to the left, looking along the line
            (of a line from top to bottom: to the right of the picture).
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
