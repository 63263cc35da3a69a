"""Writes frames as H.264, with the source's timestamps and its audio copied."""

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

# File suffix -> FFmpeg's format. MOV, MP4 and Matroska keep the timestamp of each frame.
_FORMATS = {".mov": "mov", ".mp4": "mp4", ".m4v": "mp4", ".mkv": "matroska"}
SUFFIXES = tuple(_FORMATS)
# The default, "medium", is slower than the detector. Same quality, larger files.
_PRESET = "veryfast"
# Colour matrices (ISO/IEC 23091-4) supported by the conversion from RGB.
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
_UNKNOWN_MATRIX = 2
_VIDEO_RANGE = 1


@contextlib.contextmanager
def writing_video(path: str, source: VideoSource) -> Iterator[VideoWriter]:
    """Opens a video file for atomic writing; it appears under its name when the block ends.

    An error inside the block leaves no file.

    Args:
        path: a local or remote `.mov`, `.mp4`, `.m4v` or `.mkv`.
        source: the video from which size, timestamps, colours and audio are taken.

    Raises:
        UserError: the file cannot be written, is the source itself, has another suffix, or its
            format does not support the source's audio.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FORMATS:
        raise UserError(f"`output_video={path}` must end in one of {', '.join(_FORMATS)}")
    if files.is_folder(path):
        raise UserError(f"`output_video={path}` is a folder: specify a file in it")
    if path == source.name or _is_same_file(path, source.name):
        raise UserError(f"`output_video={path}` is the input video: choose another file")
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
    """Encodes frames into a file opened by `writing_video`.

    Args:
        file: open for writing and seeking.
        format_name: FFmpeg's name of the container format.
        source: see `writing_video`.

    Attributes:
        frames: number of frames written so far.

    Raises:
        UserError: the container does not support the source's audio.
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
        # Chroma is subsampled by two: sides must be even.
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
                f"a {format_name} file cannot store the audio ({sounds or 'none'}) of "
                f"{source.name} ({getattr(error, 'strerror', None) or error}): use a name ending "
                "in .mkv for `output_video`, which supports most codecs"
            ) from error

    def show(self, frame: Frame, picture: Image.Image, detections: object) -> None:
        """Writes a frame's picture, and the audio before it."""
        del detections
        if self._source.endless and self.frames == 0:
            # A camera has run since it was opened: the file starts at the first frame.
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
        """Flushes the encoder and writes the file's index."""
        self._container.mux(self._video.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Closes a file that will be removed."""
        with contextlib.suppress(Exception):  # For example a full disk.
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
    """The colour tags to write; an unsupported matrix becomes unknown."""
    return colors if colors.matrix in _MATRICES else colors._replace(matrix=_UNKNOWN_MATRIX)
