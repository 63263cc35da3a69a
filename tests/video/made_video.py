"""Videos made for the tests: moving shapes, a numbered corner, a tone."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

SOUND_HZ = 44100
# The display matrix of phones held upright: stored lying, to be turned clockwise.
PHONE = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
# A picture's number stands in its upper left corner, as squares that are black or white.
_BITS = 8
_SQUARE = 8


class Sound(NamedTuple):
    """A tone: its codec, and the format of samples that this takes."""

    codec: str = "aac"
    samples: str = "fltp"


def numbered_picture(number: int, height: int, width: int) -> np.ndarray:
    """A grey picture with a moving red square, and its number, uint8 [height, width, 3]."""
    picture = np.full((height, width, 3), 110, np.uint8)
    left = 2 * number % (width - 30)
    picture[height // 2 : height // 2 + 30, left : left + 30] = (210, 40, 40)
    for bit in range(_BITS):
        x = bit * _SQUARE
        picture[:_SQUARE, x : x + _SQUARE] = 235 if number >> bit & 1 else 16
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number in a picture's corner."""
    middles = picture[_SQUARE // 2, _SQUARE // 2 : _BITS * _SQUARE : _SQUARE].mean(axis=-1)
    return int(sum(1 << bit for bit, value in enumerate(middles) if value > 128))


def write_video(
    path,
    *,
    frames: int = 30,
    rate: Fraction | int = 30,
    size_hw: tuple[int, int] = (96, 128),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: Sound | None = None,
    display_matrix: list[int] | None = None,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    prepare=lambda stream: None,
) -> None:
    """Writes a video of numbered pictures.

    Args:
        times: of each picture, in 1/1000 s; None: evenly spaced.
        options: of the container.
        prepare: called with the video's stream before the first picture.
    """
    height, width = size_hw
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = width, height, pixels
        if times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        if display_matrix is not None:
            video.set_display_matrix(display_matrix)
        prepare(video)
        packets = iter(())
        if sound is not None:
            audio = container.add_stream(sound.codec, rate=SOUND_HZ, layout="mono")
            audio.format = sound.samples
            packets = _tone(audio, sound, frames / rate)
        # As cameras write it: each sound beside its picture.
        following = next(packets, None)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(numbered_picture(number, height, width))
            picture.pts = number if times is None else times[number]
            picture.time_base = 1 / Fraction(rate) if times is None else Fraction(1, 1000)
            container.mux(video.encode(picture))
            while following and following.pts * following.time_base <= picture.time:
                container.mux(following)
                following = next(packets, None)
        container.mux(video.encode(None))
        while following:
            container.mux(following)
            following = next(packets, None)


def _tone(audio, sound: Sound, seconds: float):
    samples = np.arange(round(SOUND_HZ * float(seconds)))
    wave = 0.3 * np.sin(2 * np.pi * 440 * samples / SOUND_HZ)
    wave = (wave * 32767).astype(np.int16) if sound.samples[0] == "s" else wave.astype(np.float32)
    for start in range(0, len(wave), 1024):
        part = np.ascontiguousarray(wave[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(part, format=sound.samples, layout="mono")
        frame.sample_rate, frame.pts = SOUND_HZ, start
        frame.time_base = Fraction(1, SOUND_HZ)
        yield from audio.encode(frame)
    yield from audio.encode(None)


class Read(NamedTuple):
    """What an independent reader finds in a file.

    Attributes:
        pictures: uint8 [H, W, 3] as stored.
        times: of each picture, seconds.
        rate: frames/s.
        codec: of the pictures.
        sound: content of each packet of sound.
        sound_times: of each packet, seconds.
        rotation: degrees that a player turns the pictures by.
    """

    pictures: list[np.ndarray]
    times: list[float]
    rate: Fraction
    codec: str
    sound: list[bytes]
    sound_times: list[float]
    rotation: int


def read_video(path) -> Read:
    """Reads a file with PyAV."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        decoded = list(container.decode(video))
        rate, codec = video.average_rate, video.codec_context.name
    packets = []
    with av.open(str(path)) as container, contextlib.suppress(IndexError):
        packets = [p for p in container.demux(container.streams.audio[0]) if p.dts is not None]
        sound = [bytes(p) for p in packets]
        sound_times = [float(p.pts * p.time_base) for p in packets]
    return Read(
        [frame.to_ndarray(format="rgb24") for frame in decoded],
        [frame.time for frame in decoded],
        rate,
        codec,
        sound if packets else [],
        sound_times if packets else [],
        decoded[0].rotation,
    )
