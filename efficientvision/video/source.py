"""Reads a video or camera frame by frame, upright and in RGB, with its audio packets undecoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from efficientvision.errors import UserError
from efficientvision.video.address import open_address
from efficientvision.video.orientation import Orientation
from efficientvision.video.pyav import load_av

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame

_UNKNOWN_RATE = Fraction(30)
_CAMERA_SECONDS = 0.005
# Tolerance, because the last frame's duration is only approximate.
_MISSING_SECONDS = 0.5
# Formats without timestamps: FFmpeg assumes 25 frames/s, whatever the camera's real rate.
_WITHOUT_TIMES = ("mpjpeg", "mjpeg")
_CLOCK_UNIT = Fraction(1, 1000)


@dataclass
class Frame:
    """One picture of a video.

    Attributes:
        rgb: uint8 [H, W, 3], upright.
        pts: presentation time since the video's start, in units of the source's `time_base`.
        audio: audio packets before it in the file (for the last frame also after it), with times
            since the same start.
    """

    rgb: np.ndarray
    pts: int
    audio: list[Packet] = field(default_factory=list)


class Colors(NamedTuple):
    """Colour description of a video, numbers of ISO/IEC 23091-4; 2: unknown."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


class VideoSource:
    """An open video. Iterate over it once.

    Args:
        address: file, camera or URL, see `open_address`.
        with_audio: also read audio.

    Attributes:
        name: name for messages.
        endless: whether it is a camera or live stream.
        height, width: size of the upright frames in pixels.
        rate: frames/s according to the header.
        time_base: unit of `Frame.pts` in seconds.
        pixel_aspect: width / height of an upright pixel; None: unknown, assumed square.
        colors: colour description according to the header.
        frames_announced: number of frames according to the header; None: unknown or endless.
        audio_streams: audio streams; packets come in their order and time base.
        audio_left_out: number of audio streams with an unknown codec, which are skipped.
        broken: number of frames skipped so far because they could not be decoded.
        ended_early: why reading stopped before the end; None: it did not.

    Raises:
        UserError: the video does not exist, or contains no complete frame.
    """

    def __init__(self, address: str, *, with_audio: bool = False):
        with ExitStack() as closing:
            self._container, self.name, self.endless = open_address(address, closing)
            self._video = self._choose_stream()
            sounds = list(self._container.streams.audio) if with_audio else []
            # FFmpeg does not know some codecs, such as spatial audio beside the usual stream.
            self.audio_streams: list[AudioStream] = [s for s in sounds if s.codec_context]
            self.audio_left_out = len(sounds) - len(self.audio_streams)
            self.broken = 0
            self.ended_early: str | None = None
            self._audio_after: list[Packet] = []
            self._decoded = self._decode()
            self._first = next(self._decoded, None)
            if self._first is None:
                why = f": {self.ended_early}" if self.ended_early else ""
                raise UserError(
                    f"no frame of the video {self.name!r} can be decoded{why}; the file may be "
                    "truncated"
                )
            self._describe(self._first[0])
            # On success the files stay open until `close`.
            self._closing = closing.pop_all()

    def close(self) -> None:
        """Closes the file or camera."""
        self._closing.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yields the frames in presentation order."""
        started = monotonic()
        before = None
        step = max(1, round(1 / (self.rate * self.time_base)))
        following = self._first
        while following is not None:
            picture, audio = following
            if self._by_the_clock:
                pts = round((monotonic() - started) / self.time_base)
            elif picture.pts is None:
                pts = 0 if before is None else before + step
            else:
                pts = self._pts(picture) - self._start
            # A damaged file may have two frames with the same time, which cannot be written.
            before = pts if before is None else max(pts, before + 1)
            following = next(self._decoded, None)
            if following is None:
                audio += self._audio_after
                self._compare_with_header(before + step)
            yield Frame(self._rgb(picture), before, [self._from_start(p) for p in audio])

    def _choose_stream(self):
        attached = load_av().stream.Disposition.attached_pic
        streams = [s for s in self._container.streams.video if not s.disposition & attached]
        if not streams:
            raise UserError(f"{self.name!r} contains no video, only audio or text")
        best = self._container.streams.best("video")
        chosen = best if best in streams else streams[0]
        # Frame threading is faster, but adds a delay of one frame per thread.
        chosen.thread_type = "SLICE" if self.endless else "AUTO"
        return chosen

    def _describe(self, first: VideoFrame) -> None:
        video = self._video
        display = first.side_data.get("DISPLAYMATRIX")
        self._orientation = Orientation.from_display_matrix(display and bytes(display))
        self._stored_wh = (first.width, first.height)
        swapped = self._orientation.transposed
        self.width, self.height = self._stored_wh[::-1] if swapped else self._stored_wh
        self.rate: Fraction = video.average_rate or video.guessed_rate or _UNKNOWN_RATE
        self._by_the_clock = self.endless and self._container.format.name in _WITHOUT_TIMES
        self.time_base: Fraction = _CLOCK_UNIT if self._by_the_clock else video.time_base
        aspect = video.sample_aspect_ratio or None
        self.pixel_aspect = 1 / aspect if aspect and swapped else aspect
        self.colors = Colors(first.color_primaries, first.color_trc, first.colorspace)
        self.frames_announced = None if self.endless else self._announced()
        start = self._container.start_time
        self._start_seconds = (
            (first.pts or 0) * video.time_base
            if start is None
            else Fraction(start, load_av().time_base)
        )
        self._start = round(self._start_seconds / self.time_base)

    def _compare_with_header(self, end: int) -> None:
        """Notes if a file's frames end earlier than its header says."""
        announced = float((self._video.duration or 0) * self.time_base)
        # Matroska has the total duration only, and audio may outlast the frames.
        if not announced and len(self._container.streams) == 1:
            announced = float(Fraction(self._container.duration or 0, load_av().time_base))
        shown = float(end * self.time_base)
        missing = announced - shown
        if self.ended_early is None and not self.endless and missing > _MISSING_SECONDS:
            self.ended_early = f"its frames end after {shown:.1f} of {announced:.1f} s"

    def _announced(self) -> int | None:
        if self._video.frames:
            return self._video.frames
        if self._video.duration:
            return round(self._video.duration * self.time_base * self.rate)
        if self._container.duration:
            return round(self._container.duration * self.rate / load_av().time_base)
        return None

    def _decode(self) -> Iterator[tuple[VideoFrame, list[Packet]]]:
        """Yields complete frames with the audio packets before them; counts broken ones."""
        av = load_av()
        audio: list[Packet] = []
        streams = [self._video, *self.audio_streams]
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
            except av.BlockingIOError:  # A Mac's camera: the next frame is not ready yet.
                sleep(_CAMERA_SECONDS)
                packets = self._container.demux(streams)
                continue
            except av.FFmpegError as error:
                self.ended_early = error.strerror or str(error)
                packet = None
            if packet is not None and packet.stream.type == "audio":
                # The last packet of a stream is empty: it flushes the decoder.
                if packet.dts is not None:
                    audio.append(packet)
                continue
            for picture in self._pictures(packet):
                yield picture, audio
                audio = []
            if packet is None:
                break
        self._audio_after = audio

    def _pictures(self, packet: Packet | None) -> list[VideoFrame]:
        """Decodes the complete frames of a packet; None flushes the decoder."""
        av = load_av()
        try:
            pictures = self._video.codec_context.decode(packet)
        except av.EOFError:
            return []  # The stream's own flush packet came before.
        except av.FFmpegError:
            self.broken += 1
            return []
        whole = [p for p in pictures if not p.is_corrupt]
        self.broken += len(pictures) - len(whole)
        return whole

    def _rgb(self, picture: VideoFrame) -> np.ndarray:
        width, height = self._stored_wh  # A stream may change its size, the output may not.
        stored = picture.to_ndarray(format="rgb24", width=width, height=height)
        return self._orientation.upright(stored)

    def _pts(self, picture: VideoFrame) -> int:
        """A frame's time in units of `time_base`."""
        # Frames flushed at the end of a broken file have no time base.
        unit = picture.time_base or self._video.time_base
        return round(picture.pts * unit / self.time_base)

    def _from_start(self, packet: Packet) -> Packet:
        shift = round(self._start_seconds / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        return packet
