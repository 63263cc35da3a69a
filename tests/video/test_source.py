"""Reading: every frame once, upright, at its time; what is broken is counted, in words."""

import re
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.video import address
from efficientvision.video.source import VideoSource
from tests.video.made_video import (
    PHONE,
    Sound,
    number_of,
    numbered_picture,
    read_video,
    write_video,
)


def read_all(path, **options):
    source = VideoSource(str(path), **options)
    try:
        return source, list(source)
    finally:
        source.close()


def damage(path, packet_number, keep=0.0):
    """Overwrites the content of one packet in a file, all but the given share at its beginning."""
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    data = path.read_bytes()
    content = packets[packet_number]
    assert data.count(content) == 1
    kept = content[: int(keep * len(content))]
    path.write_bytes(data.replace(content, kept.ljust(len(content), b"\0")))


def test_every_frame_comes_once_and_at_its_time(tmp_path):
    write_video(tmp_path / "a.mp4", frames=40, rate=Fraction(30000, 1001))
    source, frames = read_all(tmp_path / "a.mp4")
    assert [number_of(frame.rgb) for frame in frames] == list(range(40))
    assert source.rate == Fraction(30000, 1001) and source.frames_announced == 40
    assert (source.height, source.width) == (96, 128)
    times = [float(frame.pts * source.time_base) for frame in frames]
    np.testing.assert_allclose(times, np.arange(40) * 1001 / 30000, atol=1e-4)
    assert (source.broken, source.ended_early, source.endless) == (0, None, False)


def test_phone_videos_stand_upright(tmp_path):
    write_video(tmp_path / "phone.mov", frames=3, display_matrix=PHONE)
    source, frames = read_all(tmp_path / "phone.mov")
    assert (source.height, source.width) == (128, 96)
    expected = np.rot90(numbered_picture(2, 96, 128), k=-1)
    assert np.abs(frames[2].rgb.astype(int) - expected).mean() < 5
    # Turned the other way it would be another picture.
    assert np.abs(frames[2].rgb.astype(int) - expected[::-1, ::-1]).mean() > 10


def test_pixels_that_are_not_square_turn_with_the_picture(tmp_path):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    write_video(tmp_path / "a.mov", frames=2, prepare=prepare, display_matrix=PHONE)
    write_video(tmp_path / "b.mov", frames=2, prepare=prepare)
    assert read_all(tmp_path / "a.mov")[0].pixel_aspect == Fraction(3, 4)
    assert read_all(tmp_path / "b.mov")[0].pixel_aspect == Fraction(4, 3)


def test_a_name_may_look_like_a_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mov", frames=2)
    (tmp_path / "a.mov").rename(tmp_path / "12:30.mov")
    monkeypatch.chdir(tmp_path)
    assert len(read_all("12:30.mov")[1]) == 2


def test_time_begins_at_zero_where_the_file_begins_later(tmp_path):
    write_video(tmp_path / "a.ts", frames=20, sound=Sound(), options={"output_ts_offset": "5"})
    with av.open(str(tmp_path / "a.ts")) as container:
        assert container.start_time > 1_000_000
    source, frames = read_all(tmp_path / "a.ts", with_audio=True)
    times = [float(frame.pts * source.time_base) for frame in frames]
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-3)
    assert 0 <= times[0] < 0.1
    sound = [packet for frame in frames for packet in frame.audio]
    assert abs(float(sound[0].pts * sound[0].time_base)) < 0.1


def test_sound_comes_whole_and_only_when_asked_for(tmp_path):
    write_video(tmp_path / "a.mov", sound=Sound())
    expected = read_video(tmp_path / "a.mov").sound
    source, frames = read_all(tmp_path / "a.mov", with_audio=True)
    assert [bytes(p) for frame in frames for p in frame.audio] == expected
    assert len(expected) > 30 and len(source.audio_streams) == 1
    source, frames = read_all(tmp_path / "a.mov")
    assert not source.audio_streams and not any(frame.audio for frame in frames)


@pytest.mark.parametrize(("codec", "pixels"), [("mjpeg", "yuvj420p"), ("libx264", "yuv420p")])
def test_broken_frames_are_left_out_and_counted(tmp_path, codec, pixels):
    def prepare(stream):
        if codec == "libx264":  # Every frame by itself.
            stream.codec_context.gop_size = 1

    path = tmp_path / "a.mkv"
    write_video(path, frames=20, codec=codec, pixels=pixels, prepare=prepare)
    for number in (5, 11):
        damage(path, number)
    source, frames = read_all(path)
    numbers = [number_of(frame.rgb) for frame in frames]
    assert source.broken == 2
    assert numbers == [n for n in range(20) if n not in (5, 11)]
    # The others keep their times.
    times = [float(frame.pts * source.time_base) for frame in frames]
    np.testing.assert_allclose(times, np.array(numbers) / 30, atol=2e-3)


def test_a_frame_that_the_decoder_has_patched_up_is_left_out(tmp_path):
    def prepare(stream):
        stream.codec_context.max_b_frames = 0

    path = tmp_path / "a.mkv"
    write_video(path, frames=20, size_hw=(240, 320), prepare=prepare)
    damage(path, 8, keep=0.5)
    source, frames = read_all(path)
    assert source.broken == 1
    assert [number_of(frame.rgb) for frame in frames] == [n for n in range(20) if n != 8]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_that_breaks_off_is_read_to_there(tmp_path, name):
    path = tmp_path / name
    write_video(path, frames=90, options={"movflags": "faststart"} if name == "a.mp4" else {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    source, frames = read_all(path)
    assert 10 < len(frames) < 90
    assert [number_of(frame.rgb) for frame in frames] == list(range(len(frames)))
    assert re.fullmatch(r"its frames end after [0-2]\.\d of 3\.0 s", source.ended_early)


def test_two_pictures_never_have_one_time(tmp_path):
    write_video(tmp_path / "a.mkv", frames=5, times=[0, 40, 80, 120, 160])
    source = VideoSource(str(tmp_path / "a.mkv"))
    real = source._decoded

    def repeat():
        for picture, audio in real:
            picture.pts = 40
            yield picture, audio

    source._decoded = repeat()
    assert [frame.pts for frame in source] == [0, 40, 41, 42, 43]
    source.close()


# What is no video.


def _text(path):
    path.write_text("no video\n" * 1000)


def _empty(path):
    path.write_bytes(b"")


def _cut(path):
    write_video(path, frames=10)
    path.write_bytes(path.read_bytes()[:-400])


def _sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 44100, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _no_picture(path):
    write_video(path.with_suffix(".mkv"), frames=1, codec="mjpeg", pixels="yuvj420p")
    damage(path.with_suffix(".mkv"), 0)
    path.with_suffix(".mkv").rename(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_text, "is not a video"),
        (_empty, "is an empty file"),
        (_cut, "is truncated"),
        (_sound_only, "contains no video"),
        (_no_picture, "no frame of the video"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: None, "there is no video file"),
    ],
)
def test_what_is_no_video_is_told_in_one_sentence(tmp_path, make, says):
    path = tmp_path / "input.mov"
    make(path)
    with pytest.raises(UserError, match=says) as caught:
        VideoSource(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


# Cameras and streams.


@pytest.mark.parametrize(
    ("platform", "given", "device", "kind", "options"),
    [
        ("linux", "0", "/dev/video0", "v4l2", {}),
        ("linux", "/dev/video2", "/dev/video2", "v4l2", {}),
        ("darwin", "1", "1", "avfoundation", {"framerate": "30"}),
        ("win32", "1", "video=Second camera", "dshow", {}),
    ],
)
def test_a_number_is_a_camera(tmp_path, monkeypatch, platform, given, device, kind, options):
    write_video(tmp_path / "a.mkv", frames=3)
    opened = []
    real_open = av.open

    def fake_open(*arguments, **options):
        opened.append((arguments, options))
        return real_open(str(tmp_path / "a.mkv"))

    class Camera:
        media_types = ["video"]

        def __init__(self, name):
            self.name, self.description = name, ""

    monkeypatch.setattr(address.sys, "platform", platform)
    monkeypatch.setattr(av, "open", fake_open)
    monkeypatch.setattr(
        av,
        "enumerate_input_devices",
        lambda kind: [Camera("First camera"), Camera("Second camera")],
    )
    source = VideoSource(given)
    source.close()
    assert opened == [((device,), {"format": kind, "options": options})]
    assert source.endless and source.frames_announced is None


def test_a_missing_camera_is_told_with_those_that_are_there(monkeypatch):
    monkeypatch.setattr(address, "_cameras", lambda kind: [])
    with pytest.raises(UserError, match="camera .*98.*no camera was found"):
        VideoSource("98")


def test_a_dead_stream_is_told_without_its_password():
    with pytest.raises(UserError, match="cannot read video from rtsp://127.0.0.1:9/door") as caught:
        VideoSource("rtsp://me:secret@127.0.0.1:9/door")
    assert "secret" not in str(caught.value)


def test_without_pyav_the_extra_is_named(tmp_path):
    (tmp_path / "av.py").write_text("raise ImportError('no av')")
    code = (
        "from efficientvision.video.source import VideoSource\n"
        "from efficientvision.errors import UserError\n"
        "try:\n    VideoSource('a.mov')\n"
        "except UserError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'efficientvision[video]'" in done.stdout
