"""Writes pictures as H.264, with the times of the video they come from and its sound as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.video.pyav import load_av
from efficientvision.video.source import Colors, Frame, VideoSource

if TYPE_CHECKING:
    from av import Packet

# File name -> FFmpeg's name of the format. MOV, MP4 and Matroska keep each frame's own time.
_FORMATS = {".mov": "mov", ".mp4": "mp4", ".m4v": "mp4", ".mkv": "matroska"}
# At the default, "medium", the encoder is slower than the detector. Same quality, larger files.
_PRESET = "veryfast"
# Matrices of colours (ISO/IEC 23091-4) that the conversion from RGB knows.
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
_UNKNOWN_MATRIX = 2
_VIDEO_RANGE = 1


@contextlib.contextmanager
def writing_video(path: str, source: VideoSource) -> Iterator[VideoWriter]:
    """Opens a video file to write; it appears under its name when the block ends.

    An error inside the block leaves nothing behind.

    Args:
        path: `.mov`, `.mp4`, `.m4v` or `.mkv`; also remote.
        source: tells size, times, colours and sound.

    Raises:
        UserError: the file cannot be written, is the source itself, has another suffix, or cannot
            hold the source's sound.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FORMATS:
        raise UserError(f"`output_video={path}`: the name must end in {', '.join(_FORMATS)}")
    if files.is_folder(path):
        raise UserError(f"`output_video={path}` is a folder: name a file in it")
    if path == source.name or _is_same_file(path, source.name):
        raise UserError(f"`output_video={path}` is the video that is read: name another file")
    with contextlib.ExitStack() as closing:
        try:
            file = closing.enter_context(files.writing(path))
        except OSError as error:
            is_file = isinstance(error, (FileExistsError, NotADirectoryError))
            reason = "its folder is a file" if is_file else error.strerror or error
            raise UserError(f"`output_video={path}` cannot be written ({reason})") from error
        writer = VideoWriter(file, _FORMATS[suffix], source)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.abandon()
            raise


class VideoWriter:
    """Encodes frames. See `writing_video`, which gives it its file.

    Args:
        file: open to write and seek.
        format_name: FFmpeg's name of the container.
        source: see `writing_video`.

    Attributes:
        frames: written so far.

    Raises:
        UserError: this container cannot hold the source's sound.
    """

    def __init__(self, file: BinaryIO, format_name: str, source: VideoSource):
        self.frames = 0
        self._begin = 0
        self._source = source
        self._container = load_av().open(file, "w", format=format_name)
        self._video = self._container.add_stream(
            "libx264", rate=source.rate, options={"preset": _PRESET}
        )
        context = self._video.codec_context
        # H.264 stores every second sample of colour: sides are even.
        context.width = source.width + source.width % 2
        context.height = source.height + source.height % 2
        context.pix_fmt = "yuv420p"
        context.time_base = source.time_base
        if source.pixel_aspect:
            context.sample_aspect_ratio = source.pixel_aspect
        self._colors = _writable(source.colors)
        context.color_primaries, context.color_trc, context.colorspace = self._colors
        context.color_range = _VIDEO_RANGE
        try:
            self._audio = {
                stream.index: self._container.add_stream_from_template(stream)
                for stream in source.audio_streams
            }
            self._container.start_encoding()
        except (load_av().FFmpegError, ValueError) as error:
            self.abandon()
            sounds = ", ".join(stream.codec_context.name for stream in source.audio_streams)
            raise UserError(
                f"a {format_name} file cannot hold the sound ({sounds or 'none'}) of "
                f"{source.name} ({getattr(error, 'strerror', None) or error}): let the name of "
                "`output_video` end in .mkv, which takes most sounds"
            ) from error

    def show(self, frame: Frame, picture: Image.Image, detections: object) -> None:
        """Writes a frame's picture, and the sound before it."""
        del detections
        if self._source.endless and self.frames == 0:
            # A camera has run since it was opened: its record begins with the first frame.
            self._begin = frame.pts
        self._copy(frame.audio)
        array = np.asarray(picture)
        height, width = array.shape[:2]
        array = np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = load_av().VideoFrame.from_ndarray(array, format="rgb24")
        encoded = rgb.reformat(
            format="yuv420p",
            dst_colorspace=_MATRICES.get(self._colors.matrix),
            dst_color_range="MPEG",
        )
        encoded.pts, encoded.time_base = frame.pts - self._begin, self._source.time_base
        self._container.mux(self._video.encode(encoded))
        self.frames += 1

    def finish(self) -> None:
        """Writes what the encoder still holds, and the file's index."""
        self._container.mux(self._video.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Closes a file that is going to be removed."""
        with contextlib.suppress(Exception):  # Such as: the disk is full.
            self._container.close()

    def _copy(self, packets: list[Packet]) -> None:
        for packet in packets:
            shift = round(self._begin * self._source.time_base / packet.time_base)
            if packet.dts < shift and self._source.endless:
                continue
            packet.dts -= shift
            if packet.pts is not None:
                packet.pts -= shift
            packet.stream = self._audio[packet.stream.index]
            self._container.mux(packet)


def _is_same_file(one: str, other: str) -> bool:
    one, other = files.as_text(one), files.as_text(other)
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _writable(colors: Colors) -> Colors:
    """The colours as they are tagged; a matrix that cannot be computed becomes unknown."""
    return colors if colors.matrix in _MATRICES else colors._replace(matrix=_UNKNOWN_MATRIX)
