"""Tracks in a video: numbers, trails, tables, counts."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.configs.track_options import TrackSettings
from efficientvision.data.names import printable
from efficientvision.video.source import Frame, VideoSource
from efficientvision.video.tracking import LineCounter, Tracker
from efficientvision.visualize.draw_tracks import draw_count_line, draw_tracks

COLUMNS = (
    *("frame", "seconds", "track", "class_id", "class", "score"),
    *("xmin", "ymin", "xmax", "ymax"),
)
_TRAIL_SECONDS = 1.0


class Detected(Protocol):
    """A detector's result for a frame."""

    boxes_yxyx: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class TrackedObjects:
    """The objects of a frame that are part of a track.

    Attributes:
        boxes_yxyx: float [N, 4], ymin, xmin, ymax, xmax in pixels.
        scores: float [N].
        classes: int [N], class numbers of this frame's detections.
        names: N class names.
        numbers: int [N], numbers of the tracks from 1.
    """

    boxes_yxyx: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    names: list[str]
    numbers: np.ndarray


@dataclass
class Track:
    """One object through the video.

    Attributes:
        first, last: First and last frame, from 1.
        first_seconds, last_seconds: Their times.
        frames: Number of frames in which it was found.
        votes: Class number -> sum of the scores of its detections.
    """

    first: int
    first_seconds: float
    last: int = 0
    last_seconds: float = 0.0
    frames: int = 0
    votes: Counter[int] = field(default_factory=Counter)

    @property
    def class_id(self) -> int:
        """The class with the highest sum of scores."""
        return self.votes.most_common(1)[0][0]


class VideoTracks:
    """Follows the objects of a video, draws them and counts each once.

    Args:
        settings: Settings of the tracker.
        source: The video.
        table: Open table to which every object of every frame is added; None: no table.

    Attributes:
        tracks: Number -> track.
        frames: Number of frames so far.
        untracked: Number of detections that are part of no track, such as those of an object's
            first frames.

    Raises:
        UserError: The package trackers is not installed.
    """

    def __init__(
        self, settings: TrackSettings, source: VideoSource, table: TrackTable | None = None
    ):
        rate = float(source.rate)
        self._tracker = Tracker(settings, rate)
        self._time_base = source.time_base
        self._table = table
        self._line_xyxy = settings.line_xyxy
        self._line = LineCounter(settings.line_xyxy) if settings.line_xyxy else None
        self._hidden_seconds = settings.hidden_seconds
        self._trail_length = max(2, round(rate * _TRAIL_SECONDS))
        self._trails: dict[int, deque[tuple[float, float]]] = {}
        self._names: dict[int, str] = {}
        self.tracks: dict[int, Track] = {}
        self.frames = 0
        self.untracked = 0

    def follow(self, frame: Frame, found: Detected) -> TrackedObjects:
        """Numbers the detections of the next frame; those without a track are left out."""
        self.frames += 1
        seconds = float(frame.pts * self._time_base)
        numbers = self._tracker.update(found.boxes_yxyx, found.scores, found.classes, seconds)
        kept = np.flatnonzero(numbers)
        self.untracked += len(numbers) - len(kept)
        names = [found.names[i] for i in kept]
        tracked = TrackedObjects(
            found.boxes_yxyx[kept], found.scores[kept], found.classes[kept], names, numbers[kept]
        )
        self._names.update(zip(tracked.classes.tolist(), names, strict=True))
        self._record(tracked, seconds)
        if self._line is not None:
            self._line.update(tracked.boxes_yxyx, tracked.classes, tracked.numbers)
        if self._table is not None:
            self._table.add(self.frames, seconds, tracked)
        return tracked

    def draw(self, rgb: np.ndarray, tracked: TrackedObjects, **options: Any) -> Image.Image:
        """Draws the objects of the frame that was followed last; see `draw_tracks`."""
        picture = draw_tracks(
            rgb,
            tracked.boxes_yxyx,
            tracked.numbers,
            tracked.scores,
            tracked.names,
            self._trails,
            **options,
        )
        if self._line is not None and self._line_xyxy is not None:
            entered, left = self._line.entered.total(), self._line.left.total()
            draw_count_line(picture, self._line_xyxy, entered, left)
        return picture

    def counts(self) -> dict[str, int]:
        """Class name -> number of tracks; most frequent first."""
        return self._by_name(Counter(track.class_id for track in self.tracks.values()))

    def crossings(self) -> dict[str, dict[str, int]] | None:
        """Crossings `in` and `out` of the counting line, by class name; None without a line."""
        if self._line is None:
            return None
        return {"in": self._by_name(self._line.entered), "out": self._by_name(self._line.left)}

    def summary(self) -> dict[str, Any]:
        """The tracks and counts as plain values."""
        return {
            "frames": self.frames,
            "objects": self.counts(),
            **({} if self._line is None else {"line": self._line_xyxy, **(self.crossings() or {})}),
            "detections_without_track": self.untracked,
            "tracks": [
                {
                    "track": number,
                    "class_id": track.class_id,
                    "class": self._names[track.class_id],
                    "first_frame": track.first,
                    "last_frame": track.last,
                    "first_seconds": round(track.first_seconds, 3),
                    "last_seconds": round(track.last_seconds, 3),
                    "frames": track.frames,
                }
                for number, track in sorted(self.tracks.items())
            ],
        }

    def lines(self) -> list[str]:
        """The counts in words."""
        counts = self.counts()
        shown = [f"{name} {count}" for name, count in counts.items()]
        lines = [f"Tracks: {', '.join(shown) or 'none'} ({sum(counts.values())} in all)"]
        for way, crossed in (self.crossings() or {}).items():
            shown = [f"{name} {count}" for name, count in crossed.items()]
            lines.append(f"Crossed {way}: {', '.join(shown) or 'none'}")
        if self.untracked:
            lines.append(
                f"{self.untracked} detections belong to no track: seen in too few frames, or in "
                "the first frames of a track"
            )
        return lines

    def _record(self, tracked: TrackedObjects, seconds: float) -> None:
        for number, box, score, class_id in zip(
            tracked.numbers.tolist(),
            tracked.boxes_yxyx.tolist(),
            tracked.scores.tolist(),
            tracked.classes.tolist(),
            strict=True,
        ):
            track = self.tracks.setdefault(number, Track(self.frames, seconds))
            track.last, track.last_seconds = self.frames, seconds
            track.frames += 1
            track.votes[class_id] += score
            ymin, xmin, ymax, xmax = box
            trail = self._trails.setdefault(number, deque(maxlen=self._trail_length))
            trail.append(((xmin + xmax) / 2, (ymin + ymax) / 2))
        for number in list(self._trails):
            if seconds - self.tracks[number].last_seconds > self._hidden_seconds:
                del self._trails[number]

    def _by_name(self, counts: Counter[int]) -> dict[str, int]:
        by_name: Counter[str] = Counter()
        for class_id, count in counts.items():
            by_name[self._names[class_id]] += count
        return dict(by_name.most_common())


class TrackTable:
    """`<prefix>_tracks.csv`, and `<prefix>_tracks.txt` in MOTChallenge's format.

    The text has a line per object and frame: frame, track, left, top, width, height, score,
    -1, -1, -1. Frames and tracks count from 1.

    Attributes:
        paths: The two files, and the summary in JSON.
    """

    def __init__(self, prefix: str, closing: contextlib.ExitStack):
        names = (f"{prefix}_tracks.csv", f"{prefix}_tracks.txt")
        self.paths = (*names, f"{prefix}_tracks.json")
        table, self._text = (self._open(name, closing) for name in names)
        self._writer = csv.writer(table, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, frame: int, seconds: float, tracked: TrackedObjects) -> None:
        """Adds the objects of a frame."""
        for number, class_id, name, score, (ymin, xmin, ymax, xmax) in zip(
            tracked.numbers.tolist(),
            tracked.classes.tolist(),
            tracked.names,
            tracked.scores.tolist(),
            tracked.boxes_yxyx.tolist(),
            strict=True,
        ):
            box = [f"{value:.2f}" for value in (xmin, ymin, xmax, ymax)]
            row = [frame, f"{seconds:.3f}", number, class_id, printable(name), f"{score:.4f}"]
            self._writer.writerow([*row, *box])
            sides = f"{xmax - xmin:.2f},{ymax - ymin:.2f}"
            self._text.write(f"{frame},{number},{box[0]},{box[1]},{sides},{score:.4f},-1,-1,-1\n")

    def write_summary(self, facts: dict[str, Any]) -> None:
        """Writes the summary."""
        files.write_text(self.paths[-1], json.dumps(facts, indent=1) + "\n")

    @staticmethod
    def _open(path: str, closing: contextlib.ExitStack) -> io.TextIOWrapper:
        text = io.TextIOWrapper(closing.enter_context(files.writing(path)), "utf-8", newline="")
        closing.callback(text.detach)
        return text


@contextlib.contextmanager
def writing_tracks(prefix: str) -> Iterator[TrackTable]:
    """Opens the tables of tracks; they appear under their names when the block ends.

    An error inside the block leaves no file.

    Args:
        prefix: Path of the files without `_tracks.csv` and so on.
    """
    with contextlib.ExitStack() as closing:
        yield TrackTable(prefix, closing)
