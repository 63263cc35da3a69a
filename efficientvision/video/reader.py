"""Decodes a video in a thread, ahead of the detector."""

from __future__ import annotations

import threading

from efficientvision.video.channel import Cancelled, Channel
from efficientvision.video.source import Frame, VideoSource

# Maximum number of decoded frames: 8 of 1920x1080 take 50 MB.
_AHEAD = 8
# Few for a camera, so that its frames are recent.
_AHEAD_OF_CAMERA = 2
# Limit for a stream that sends nothing; its thread then lives until the process ends.
_JOIN_SECONDS = 2.0


class Reader:
    """Decodes a video in its own thread, until the context ends.

    If a camera's frames arrive faster than they are consumed, the oldest are dropped, but their
    sound is kept.

    Args:
        source: the video; closed at the end of the context.

    Attributes:
        source: the video.
        frames: the decoded frames.
        dropped: number of camera frames dropped so far. May be reset.
    """

    def __init__(self, source: VideoSource):
        self.source = source
        self.dropped = 0
        self.frames: Channel[Frame] = (
            Channel(_AHEAD_OF_CAMERA, self._drop) if source.endless else Channel(_AHEAD)
        )
        self._thread = threading.Thread(target=self._read, name="video reader", daemon=True)
        self._thread.start()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.frames.cancel()
        self._thread.join(_JOIN_SECONDS)
        # Not while the thread uses it, and not earlier, because audio packets refer to it.
        if not self._thread.is_alive():
            self.source.close()

    def _read(self) -> None:
        failure = None
        try:
            for frame in self.source:
                self.frames.put(frame)
        except Cancelled:
            pass
        except BaseException as error:  # Raised again in the consumer.
            failure = error
        self.frames.finish(failure)

    def _drop(self, oldest: Frame, following: Frame) -> None:
        self.dropped += 1
        following.audio = oldest.audio + following.audio
