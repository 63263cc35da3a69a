"""Decode, detect, show: three stages in three threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import numpy as np
from PIL import Image

from efficientvision.progress import tqdm
from efficientvision.video.channel import Cancelled, Channel
from efficientvision.video.interruption import Interruption
from efficientvision.video.reader import Reader
from efficientvision.video.source import Frame

# Maximum number of frames queued for drawing and encoding.
_BEHIND = 8


class Found(Protocol):
    """A model's result for a frame: the class of each object, or each class in the frame."""

    names: list[str]


class Sink(Protocol):
    """A consumer of drawn frames."""

    def show(self, frame: Frame, picture: Image.Image, detections: Any) -> None:
        """Handles a frame, its picture with boxes, and the detections; called in one thread."""


@dataclass
class Outcome:
    """The outcome of processing a video.

    Attributes:
        frames: number of frames shown or written.
        seconds: time from the first frame's detection until the sinks have handled the last.
        objects: class name -> number of detections in all frames, or of frames with the class.
        interrupted: whether Ctrl-C or SIGTERM ended it.
    """

    frames: int = 0
    seconds: float = 0.0
    objects: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds if self.seconds else 0.0


def process(
    reader: Reader,
    detect: Callable[[list[np.ndarray]], list[Any]],
    draw: Callable[[np.ndarray, Any], Any],
    sinks: Sequence[Sink],
    *,
    batch_size: int = 1,
    progress: bool = True,
    follow: Callable[[Frame, Any], Any] | None = None,
) -> Outcome:
    """Runs a video through a detector.

    Decoding (in the reader's thread), detection (in the calling thread) and drawing with encoding
    (in a third thread) overlap. At most 8 frames are queued between two of them, so memory does
    not grow with the video.

    Args:
        reader: source of the frames.
        detect: up to `batch_size` uint8 frames [H, W, 3] of one size -> detections of each.
        draw: frame, detections -> picture with boxes, of the same size; None if no sink needs it.
        sinks: called in turn with each frame.
        batch_size: number of frames per call of `detect`.
        progress: show a progress bar with frames/s.
        follow: called with each frame in order, and its detections; what it returns, such as
            tracks, takes the place of the detections.

    Returns:
        The outcome. After a first Ctrl-C or SIGTERM it covers the frames detected so far, all of
        which the sinks have handled.
    """
    source = reader.source
    # The first call compiles the network and must not count in the rate.
    detect([np.zeros((source.height, source.width, 3), np.uint8)] * batch_size)
    # Nor must the frames that a camera has sent meanwhile.
    reader.dropped = 0
    outcome = Outcome()
    total = source.frames_announced
    with (
        Interruption() as interruption,
        tqdm(total=total, unit="frame", disable=not progress) as bar,
    ):
        started = monotonic()
        drawing = _Drawing(draw, sinks, outcome, bar, follow)
        try:
            for frames in reader.frames.batches(batch_size, lambda: interruption.noted):
                found = detect([frame.rgb for frame in frames])
                for frame, detections in zip(frames, found, strict=True):
                    drawing.put(frame, detections)
        finally:
            reader.frames.cancel()
            drawing.close()
        outcome.seconds = monotonic() - started
        outcome.interrupted = interruption.noted
    return outcome


class _Drawing:
    """The thread that draws and feeds the sinks."""

    def __init__(
        self,
        draw: Callable[[np.ndarray, Any], Any],
        sinks: Sequence[Sink],
        outcome: Outcome,
        bar: tqdm,
        follow: Callable[[Frame, Any], Any] | None,
    ):
        self._follow = follow
        self._draw, self._sinks, self._outcome, self._bar = draw, sinks, outcome, bar
        self._waiting: Channel[tuple[Frame, Found]] = Channel(_BEHIND)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="video drawing", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, detections: Found) -> None:
        """Queues a frame; raises the thread's error, if it has failed."""
        try:
            self._waiting.put((frame, detections))
        except Cancelled:
            self.close()

    def close(self) -> None:
        """Waits until all frames are done; raises the thread's error, if it has failed."""
        self._waiting.finish()
        try:
            self._thread.join()
        except KeyboardInterrupt:  # A second one: only finish the current frame.
            self._waiting.cancel()
            self._thread.join()
            raise
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            for ((frame, detections),) in self._waiting.batches():
                if self._follow is not None:
                    detections = self._follow(frame, detections)
                picture = self._draw(frame.rgb, detections)
                for sink in self._sinks:
                    sink.show(frame, picture, detections)
                self._outcome.frames += 1
                self._outcome.objects.update(detections.names)
                self._bar.update()
        except BaseException as error:  # Raised again in the thread that detects.
            self._error = error
            self._waiting.cancel()
