"""A thread that decodes ahead of the detector."""

from __future__ import annotations

import threading

from efficientvision.video.channel import Cancelled, Channel
from efficientvision.video.source import Frame, VideoSource

# Frames that wait decoded: 8 of 1920x1080 take 50 MB.
_AHEAD = 8
# A camera's frames are looked at when they are new.
_AHEAD_OF_CAMERA = 2
# For a stream that sends nothing; it is then left to the end of the process.
_JOIN_SECONDS = 2.0


class Reader:
    """Decodes a video in a thread of its own, from now on until the context ends.

    Frames of a camera that come faster than they are taken are dropped, the oldest first, so that
    those taken are new; their sound is kept.

    Args:
        source: the video; the context closes it when it ends.

    Attributes:
        source: the video.
        frames: the decoded frames.
        dropped: frames of a camera that were not taken, so far. May be set.
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
        # Not under the hands of the thread; and not earlier, for packets of sound refer to it.
        if not self._thread.is_alive():
            self.source.close()

    def _read(self) -> None:
        failure = None
        try:
            for frame in self.source:
                self.frames.put(frame)
        except Cancelled:
            pass
        except BaseException as error:  # Raised again where the frames are taken.
            failure = error
        self.frames.finish(failure)

    def _drop(self, oldest: Frame, following: Frame) -> None:
        self.dropped += 1
        following.audio = oldest.audio + following.audio
