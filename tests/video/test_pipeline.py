"""The three stages: they overlap, are bounded, and end properly."""

import os
import signal
import subprocess
import sys
import threading
import types
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from efficientvision.video import pacing
from efficientvision.video.pacing import Pacing
from efficientvision.video.pipeline import process
from efficientvision.video.reader import Reader
from efficientvision.video.source import Frame
from tests.video.made_video import Sound, number_of, read_video, write_video

_PATIENCE = 20  # Seconds after which a test fails instead of hanging.


class Counted:
    """A source of blank frames that tells how many were read."""

    name, height, width, endless = "counted", 8, 8, False
    time_base = Fraction(1, 30)

    def __init__(self, frames, *, endless=False):
        self.frames_announced = frames
        self.endless = endless
        self.read = 0
        self.reading = [threading.Event() for _ in range(frames)]

    def __iter__(self):
        for number in range(self.frames_announced):
            self.read += 1
            self.reading[number].set()
            yield Frame(np.full((8, 8, 3), number + 1, np.uint8), number, [number])

    def close(self):
        pass


class Kept:
    """A sink that keeps the numbers of its frames."""

    def __init__(self):
        self.numbers = []

    def show(self, frame, picture, detections):
        self.numbers.append(frame.pts)


def names_of(frames):
    """A "detector" that finds each frame's brightness."""
    return [types.SimpleNamespace(names=[f"grey {frame[0, 0, 0]}"]) for frame in frames]


def to_picture(frame, detections):
    return Image.fromarray(frame)


def run(source, detect=names_of, draw=to_picture, sinks=(), batch_size=1):
    with Reader(source) as reader:
        outcome = process(reader, detect, draw, sinks, batch_size=batch_size, progress=False)
    return outcome, reader


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_every_frame_is_detected_once_and_shown_in_order(batch_size):
    sizes, sink = [], Kept()

    def detect(frames):
        sizes.append(len(frames))
        return names_of(frames)

    outcome, _ = run(Counted(20), detect, sinks=[sink], batch_size=batch_size)
    assert sink.numbers == list(range(20)) and outcome.frames == 20
    assert sizes[0] == batch_size and sum(sizes[1:]) == 20  # The first call is made with blanks.
    assert max(sizes) == batch_size
    assert outcome.objects == {f"grey {n + 1}": 1 for n in range(20)}


def test_the_stages_overlap():
    source = Counted(6)
    detecting = [threading.Event() for _ in range(6)]

    def detect(frames):
        number = int(frames[0][0, 0, 0]) - 1
        if number >= 0:
            detecting[number].set()
        if 0 <= number < 5:
            assert source.reading[number + 1].wait(_PATIENCE), "the next is not read meanwhile"
        return names_of(frames)

    def draw(frame, detections):
        number = int(frame[0, 0, 0]) - 1
        if number < 5:
            assert detecting[number + 1].wait(_PATIENCE), "the next is not detected meanwhile"
        return Image.fromarray(frame)

    outcome, _ = run(source, detect, draw)
    assert outcome.frames == 6


def test_few_frames_wait_between_the_stages():
    source = Counted(100)
    most_ahead = []
    sink = Kept()
    blocked = threading.Event()

    def draw(frame, detections):
        if frame[0, 0, 0] == 1:
            # Nothing is drawn until the two stages before have come to rest.
            source.reading[17].wait(_PATIENCE)
            blocked.wait(0.3)
            most_ahead.append(source.read)
        return Image.fromarray(frame)

    run(source, draw=draw, sinks=[sink])
    # 8 wait before detection and 8 behind it; each stage holds one more.
    assert 18 <= most_ahead[0] <= 20
    assert sink.numbers == list(range(100))


def test_a_cameras_old_frames_are_dropped_and_their_sound_is_kept():
    source, sink = Counted(50, endless=True), Kept()
    sound = []
    sink.show = lambda frame, picture, detections: sound.append((frame.pts, frame.audio))

    with Reader(source) as reader:
        assert source.reading[49].wait(_PATIENCE)
        reader._thread.join(_PATIENCE)
        assert reader.dropped == 48
        outcome = process(reader, names_of, to_picture, [sink], progress=False)
    # Those of the time before the detector was ready are nobody's loss.
    assert reader.dropped == 0 and outcome.frames == 2
    assert [number for number, _ in sound] == [48, 49]
    assert [packet for _, packets in sound for packet in packets] == list(range(50))


@pytest.mark.parametrize("stage", ["read", "detect", "draw", "show"])
def test_an_error_in_any_stage_ends_all_of_them(stage):
    def fail_at(number):
        if number == 5:
            raise ValueError(f"{stage} failed")

    class Failing(Counted):
        def __iter__(self):
            for frame in super().__iter__():
                if stage == "read":
                    fail_at(frame.pts)
                yield frame

    def detect(frames):
        if stage == "detect":
            fail_at(int(frames[0][0, 0, 0]) - 1)
        return names_of(frames)

    def draw(frame, detections):
        if stage == "draw":
            fail_at(int(frame[0, 0, 0]) - 1)
        return Image.fromarray(frame)

    def show(frame, picture, detections):
        if stage == "show":
            fail_at(frame.pts)

    with pytest.raises(ValueError, match=f"{stage} failed"):
        run(Failing(40), detect, draw, [types.SimpleNamespace(show=show)])
    waiting = [t for t in threading.enumerate() if t.name.startswith("video")]
    for thread in waiting:
        thread.join(_PATIENCE)
        assert not thread.is_alive()


def interrupt(repository, folder, *signals):
    """Runs `interrupted_video.py` from in.mov to out.mov, so that the signals hit nobody else."""
    program = repository / "tests" / "video" / "interrupted_video.py"
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", program, folder / "in.mov", folder / "out.mov"]
        + [str(int(number)) for number in signals],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_closes_the_file_properly(repository, tmp_path, number):
    write_video(tmp_path / "in.mov", frames=60, sound=Sound())
    done = interrupt(repository, tmp_path, number)
    assert (done.returncode, done.stdout) == (0, "11 True\n"), done.stderr
    after = read_video(tmp_path / "out.mov")
    assert [number_of(p) for p in after.pictures] == list(range(11))
    sound = read_video(tmp_path / "in.mov").sound
    assert 0 < len(after.sound) < len(sound) and after.sound == sound[: len(after.sound)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mov", "out.mov"]


def test_a_second_ctrl_c_ends_at_once_and_leaves_nothing(repository, tmp_path):
    write_video(tmp_path / "in.mov", frames=60)
    done = interrupt(repository, tmp_path, signal.SIGINT, signal.SIGINT)
    # Python ends by the signal itself.
    assert done.returncode == -signal.SIGINT and "KeyboardInterrupt" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.mov"]


# Live, a file plays at its own speed.


def _clock(monkeypatch):
    clock = types.SimpleNamespace(now=100.0, slept=[])

    def sleep(seconds):
        clock.slept.append(round(seconds, 6))
        clock.now += seconds

    fake = types.SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now)
    monkeypatch.setattr(pacing, "time", fake)
    return clock


def test_a_fast_detector_waits_for_the_video(monkeypatch):
    clock, sink = _clock(monkeypatch), Pacing(Fraction(1, 10))
    for pts in range(4):
        sink.show(Frame(None, pts), None, None)
        clock.now += 0.03
    assert clock.slept == [0, 0.07, 0.07, 0.07]


def test_a_slow_detector_is_not_waited_for_and_does_not_hurry(monkeypatch):
    clock, sink = _clock(monkeypatch), Pacing(Fraction(1, 10))
    for pts, seconds in enumerate([0.5, 0.03, 0.03, 0]):
        sink.show(Frame(None, pts), None, None)
        clock.now += seconds
    assert clock.slept == [0, 0, 0.07, 0.07]


def test_a_long_gap_is_shortened(monkeypatch):
    clock, sink = _clock(monkeypatch), Pacing(Fraction(1, 10))
    for pts in (0, 6000, 6001):
        sink.show(Frame(None, pts), None, None)
    assert clock.slept == [0, 2, 0.1]
