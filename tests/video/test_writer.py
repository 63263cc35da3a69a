"""Writing: the file that comes out, read by PyAV, against the one that went in."""

import contextlib
import errno
import types
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.video.pipeline import process
from efficientvision.video.reader import Reader
from efficientvision.video.source import VideoSource
from efficientvision.video.writer import writing_video
from tests.video.made_video import PHONE, Sound, number_of, read_video, write_video


def nothing(frames):
    return [types.SimpleNamespace(names=[]) for _ in frames]


def as_it_is(frame, detections):
    return Image.fromarray(frame)


def convert(source_path, target, *, detect=nothing, draw=as_it_is, batch_size=1):
    """Passes a video through the pipeline unchanged."""
    source = VideoSource(str(source_path), with_audio=True)
    with Reader(source) as reader, writing_video(str(target), source) as writer:
        return process(reader, detect, draw, [writer], batch_size=batch_size, progress=False)


@pytest.mark.parametrize("name", ["out.mov", "out.mp4", "out.mkv"])
def test_frames_times_and_sound_are_kept(tmp_path, name):
    write_video(tmp_path / "in.mov", frames=60, rate=25, sound=Sound())
    outcome = convert(tmp_path / "in.mov", tmp_path / name, batch_size=4)
    assert outcome.frames == 60 and not outcome.interrupted
    before, after = read_video(tmp_path / "in.mov"), read_video(tmp_path / name)
    assert after.codec == "h264" and after.rate == before.rate == 25
    assert [number_of(p) for p in after.pictures] == list(range(60))
    assert after.sound == before.sound and len(after.sound) > 100
    # Sound and picture stay together; Matroska has no times below zero and moves both.
    np.testing.assert_allclose(np.diff(after.times), np.diff(before.times), atol=2e-3)
    late = np.subtract(after.times[0], before.times[0])
    np.testing.assert_allclose(np.subtract(after.sound_times, before.sound_times), late, atol=2e-3)
    worst = max(
        np.abs(a.astype(int) - b).mean()
        for a, b in zip(before.pictures, after.pictures, strict=True)
    )
    assert worst < 4
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.mov", name])


def test_the_last_frame_lasts_as_long_as_before(tmp_path):
    write_video(tmp_path / "in.mov", frames=30, rate=10)
    convert(tmp_path / "in.mov", tmp_path / "out.mov")
    for name in ("in.mov", "out.mov"):
        with av.open(str(tmp_path / name)) as container:
            assert container.duration == 3_000_000, name


def test_uneven_times_are_kept(tmp_path):
    times = [0, 33, 66, 400, 433, 1000, 1010, 1500]
    write_video(tmp_path / "in.mkv", frames=8, times=times)
    convert(tmp_path / "in.mkv", tmp_path / "out.mp4")
    after = read_video(tmp_path / "out.mp4")
    np.testing.assert_allclose(after.times, np.array(times) / 1000, atol=1e-3)
    assert [number_of(p) for p in after.pictures] == list(range(8))


def test_phone_videos_stay_upright(tmp_path):
    write_video(tmp_path / "in.mov", frames=12, display_matrix=PHONE, sound=Sound())
    assert read_video(tmp_path / "in.mov").rotation == -90
    convert(tmp_path / "in.mov", tmp_path / "out.mov")
    before, after = read_video(tmp_path / "in.mov"), read_video(tmp_path / "out.mov")
    assert after.rotation == 0 and after.pictures[0].shape == (128, 96, 3)
    for stored, shown in zip(before.pictures, after.pictures, strict=True):
        assert np.abs(np.rot90(stored, k=-1).astype(int) - shown).mean() < 4
    assert after.sound == before.sound


@pytest.mark.parametrize(("matrix", "primaries", "transfer"), [(1, 1, 1), (5, 5, 6), (9, 9, 18)])
def test_colours_keep_their_values_and_their_meaning(tmp_path, matrix, primaries, transfer):
    def prepare(stream):
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = 1

    write_video(tmp_path / "in.mp4", frames=3, prepare=prepare)
    convert(tmp_path / "in.mp4", tmp_path / "out.mp4")
    planes = []
    for name in ("in.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (
                matrix, primaries, transfer,
            ), name  # fmt: skip
            planes.append(frame.to_ndarray(format="yuv420p").astype(int))
    change = np.abs(planes[0] - planes[1])
    assert change.mean() < 0.4 and np.percentile(change, 98) < 6


def test_odd_sides_are_made_even(tmp_path):
    write_video(tmp_path / "in.mkv", frames=3, size_hw=(97, 131), codec="ffv1", pixels="bgr0")
    convert(tmp_path / "in.mkv", tmp_path / "out.mp4")
    after = read_video(tmp_path / "out.mp4")
    assert after.pictures[0].shape == (98, 132, 3)
    assert [number_of(p) for p in after.pictures] == [0, 1, 2]
    # They grow by repetition: stretched, stripes of one pixel would not stay what they are.
    stripes = np.zeros((97, 131, 3), np.uint8)
    stripes[:, ::2] = 255
    convert(tmp_path / "in.mkv", tmp_path / "out.mp4", draw=lambda *_: Image.fromarray(stripes))
    shown = read_video(tmp_path / "out.mp4").pictures[1]
    assert np.abs(shown[:97, :131].astype(int) - stripes).mean() < 30


def test_pixels_that_are_not_square_are_kept(tmp_path):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    write_video(tmp_path / "in.mp4", frames=3, prepare=prepare)
    convert(tmp_path / "in.mp4", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_a_cameras_record_begins_with_its_first_frame(tmp_path):
    write_video(tmp_path / "in.mov", frames=60, codec="mjpeg", pixels="yuvj420p", sound=Sound())
    source = VideoSource(str(tmp_path / "in.mov"), with_audio=True)
    source.endless = True
    with Reader(source) as reader, writing_video(str(tmp_path / "out.mov"), source) as writer:
        reader._thread.join()  # Only the last two frames are left.
        process(reader, nothing, as_it_is, [writer], progress=False)
    before, after = read_video(tmp_path / "in.mov"), read_video(tmp_path / "out.mov")
    assert [number_of(p) for p in after.pictures] == [58, 59]
    np.testing.assert_allclose(after.times, [0, 1 / 30], atol=1e-3)
    assert 0 < len(after.sound) < 10 and after.sound == before.sound[-len(after.sound) :]
    shift = np.subtract(before.sound_times[-len(after.sound) :], after.sound_times)
    np.testing.assert_allclose(shift, 58 / 30, atol=1e-3)


def test_paths_may_be_remote(tmp_path):
    write_video(tmp_path / "in.mov", frames=10, sound=Sound())
    files.copy(tmp_path / "in.mov", "ram://videos/in.mov")
    convert("ram://videos/in.mov", "ram://videos/out.mov")
    files.copy("ram://videos/out.mov", tmp_path / "out.mov")
    before, after = read_video(tmp_path / "in.mov"), read_video(tmp_path / "out.mov")
    assert [number_of(p) for p in after.pictures] == list(range(10))
    assert after.sound == before.sound
    assert files.list_names("ram://videos") == ["in.mov", "out.mov"]
    with pytest.raises(UserError, match="there is no video file 'ram://videos/none.mov'"):
        VideoSource("ram://videos/none.mov")


# What cannot be written.


@pytest.mark.parametrize("sound", [Sound("flac", "s16"), Sound("wavpack", "s16p")])
def test_sound_that_the_format_cannot_hold_is_told_before_the_work(tmp_path, sound):
    write_video(tmp_path / "in.mkv", frames=5, sound=sound)
    with pytest.raises(UserError, match=rf"{sound.codec}.*\.mkv"):
        convert(tmp_path / "in.mkv", tmp_path / "out.mov", detect=lambda frames: 1 / 0)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]
    convert(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert read_video(tmp_path / "out.mkv").sound == read_video(tmp_path / "in.mkv").sound


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("out.avi", "must end in"),
        ("out", "must end in"),
        ("folder.mov", "is a folder"),
        ("in.mov", "is the input video"),
        ("in.mov/out.mov", "cannot be written .its folder is a file"),
        ("in.mov/deeper/out.mov", "cannot be written .its folder is a file"),
    ],
)
def test_where_nothing_can_be_written_is_told(tmp_path, target, says):
    write_video(tmp_path / "in.mov", frames=3)
    (tmp_path / "folder.mov").mkdir()
    before = (tmp_path / "in.mov").read_bytes()
    with pytest.raises(UserError, match=says) as caught:
        convert(tmp_path / "in.mov", tmp_path / target)
    assert f"`output_video={tmp_path / target}`" in str(caught.value)
    assert (tmp_path / "in.mov").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.mov", "in.mov"]


@pytest.mark.parametrize("room", [0, 20_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch, room):
    real = files.writing

    @contextlib.contextmanager
    def small_disk(path):
        with real(path) as file:
            written = []

            def write(data):
                written.append(len(data))
                if sum(written) > room:
                    raise OSError(errno.ENOSPC, "No space left on device", path)
                return file.write(data)

            yield types.SimpleNamespace(write=write, seek=file.seek, tell=file.tell, name="disk")

    write_video(tmp_path / "in.mov", frames=60, size_hw=(480, 640), sound=Sound())
    monkeypatch.setattr(files, "writing", small_disk)
    with pytest.raises(OSError) as caught:
        convert(tmp_path / "in.mov", tmp_path / "out.mov")
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in tmp_path.iterdir()] == ["in.mov"]


def test_an_error_on_the_way_leaves_what_was_there(tmp_path):
    write_video(tmp_path / "in.mov", frames=20)
    (tmp_path / "out.mov").write_bytes(b"of an earlier run")
    frames = []

    def draw(frame, detections):
        frames.append(frame)
        if len(frames) == 7:
            raise ValueError("no pen")
        return Image.fromarray(frame)

    with pytest.raises(ValueError, match="no pen"):
        convert(tmp_path / "in.mov", tmp_path / "out.mov", draw=draw)
    assert (tmp_path / "out.mov").read_bytes() == b"of an earlier run"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mov", "out.mov"]
