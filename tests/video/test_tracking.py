"""Tracks of made-up detections that move through frames."""

import csv
import json
import sys
import types
from fractions import Fraction

import numpy as np
import pytest

from efficientvision.configs.predict_options import predict_options
from efficientvision.configs.track_options import TrackSettings, track_settings
from efficientvision.errors import UserError
from efficientvision.runs.video_tracks import VideoTracks, writing_tracks
from efficientvision.video.tracking import Tracker

RATE = 25
SOURCE = types.SimpleNamespace(rate=Fraction(RATE), time_base=Fraction(1, RATE))
NAMES = {1: "car", 2: "bus"}


def box(x, y=50.0, side=20.0):
    return [y - side / 2, x - side / 2, y + side / 2, x + side / 2]


def found(*objects):
    """Detections (x, class, score) of a frame."""
    classes = np.array([class_id for _, class_id, _ in objects], np.int32)
    return types.SimpleNamespace(
        boxes_yxyx=np.array([box(x) for x, _, _ in objects], np.float32).reshape(-1, 4),
        scores=np.array([score for *_, score in objects], np.float32),
        classes=classes,
        names=[NAMES[c] for c in classes.tolist()],
    )


def frame(number):
    return types.SimpleNamespace(pts=number)


@pytest.fixture
def tracker_package():
    return pytest.importorskip("trackers")


def follow(tracks, frames):
    return [tracks.follow(frame(i), detections) for i, detections in enumerate(frames)]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(UserError, match=r"pip install 'efficientvision\[track\]'"):
        Tracker(TrackSettings(), RATE)


def test_objects_keep_their_numbers(tracker_package):
    """A car to the right and a bus to the left, which cross at x = 75; a car that comes later."""
    tracks = VideoTracks(TrackSettings(), SOURCE)
    frames = [
        found((30 + 3 * i, 1, 0.9), (120 - 3 * i, 2, 0.8), *[(300.0, 1, 0.7)] * (i >= 10))
        for i in range(30)
    ]
    tracked = follow(tracks, frames)
    assert not len(tracked[0].numbers) and len(tracked[3].numbers) == 2
    numbers = {
        (name, bool(b[1] > 200)): number
        for one in tracked
        for name, b, number in zip(one.names, one.boxes_yxyx, one.numbers, strict=True)
    }
    assert sorted(numbers.values()) == [1, 2, 3] and numbers["car", True] == 3
    assert tracks.counts() == {"car": 2, "bus": 1}
    assert tracks.untracked == 6  # The first two frames of each.


def test_a_hidden_object_keeps_its_number_for_some_time(tracker_package):
    def run(hidden, seconds):
        tracks = VideoTracks(TrackSettings(hidden_seconds=seconds), SOURCE)
        shown = [found((50 + i, 1, 0.9)) for i in range(60)]
        shown[20 : 20 + hidden] = [found()] * hidden
        follow(tracks, shown)
        return tracks.counts()["car"]

    assert run(10, 1.0) == 1
    assert run(10, 0.2) == 2


def test_low_scores_only_continue_tracks(tracker_package):
    tracks = VideoTracks(TrackSettings(min_score=0.5), SOURCE)
    follow(tracks, [found((50 + i, 1, 0.9 if i < 9 else 0.2), (200, 2, 0.3)) for i in range(30)])
    assert tracks.counts() == {"car": 1} and tracks.tracks[1].last == 30


def test_a_track_may_change_its_class_on_request(tracker_package):
    frames = [found((50 + i, 1 + (i // 4) % 2, 0.9)) for i in range(30)]
    across, apart = TrackSettings(across_classes=True), TrackSettings()
    counted = []
    for settings in (across, apart):
        tracks = VideoTracks(settings, SOURCE)
        follow(tracks, frames)
        counted.append(tracks.counts())
    assert counted == [{"car": 1}, {"car": 1, "bus": 1}]


def test_crossings_of_a_line_are_counted(tracker_package):
    line = (100.0, 0.0, 100.0, 100.0)  # From top to bottom: in is to the right.
    tracks = VideoTracks(TrackSettings(line_xyxy=line), SOURCE)
    follow(tracks, [found((60 + 3 * i, 1, 0.9), (150 - 3 * i, 2, 0.9)) for i in range(30)])
    assert tracks.crossings() == {"in": {"car": 1}, "out": {"bus": 1}}
    assert "Crossed in: car 1" in tracks.lines()


def test_tables_and_pictures(tracker_package, tmp_path):
    prefix = str(tmp_path / "clip")
    with writing_tracks(prefix) as table:
        tracks = VideoTracks(TrackSettings(min_frames=2), SOURCE, table)
        tracked = follow(tracks, [found((30 + 3 * i, 1, 0.9)) for i in range(10)])
        table.write_summary(tracks.summary())
    rows = list(csv.DictReader((tmp_path / "clip_tracks.csv").open()))
    assert {row["track"] for row in rows} == {"1"} and rows[-1]["frame"] == "10"
    assert rows[-1]["class"] == "car" and float(rows[-1]["seconds"]) == 9 / RATE
    first = (tmp_path / "clip_tracks.txt").read_text().splitlines()[-1].split(",")
    assert first[:6] == ["10", "1", "47.00", "40.00", "20.00", "20.00"] and len(first) == 10
    summary = json.loads((tmp_path / "clip_tracks.json").read_text())
    assert summary["objects"] == {"car": 1} and summary["tracks"][0]["last_frame"] == 10
    picture = np.asarray(tracks.draw(np.zeros((100, 120, 3), np.uint8), tracked[-1]))
    assert picture[50, 35].any() and picture[40, 57].any() and not picture[80, 100].any()


def test_an_error_leaves_no_tables(tmp_path):
    with pytest.raises(OSError), writing_tracks(str(tmp_path / "clip")):
        raise OSError("disk")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"track_seconds": 2.0}, "`track_seconds` needs `track`"),
        ({"count_line": "0,0,1,1"}, "`count_line` needs `track`"),
        ({"track": True, "count_line": "1,2,3"}, "expected X1,Y1,X2,Y2"),
        ({"track": True, "count_line": "1,2,1,2"}, "two different points"),
        ({"track": True, "track_min_frames": 1}, "must be at least 2"),
        ({"track": True, "track_min_score": 2.0}, "must be in 0..1"),
        ({"track": True, "track_seconds": -1.0}, "must not be negative"),
    ],
)
def test_bad_options(options, says):
    with pytest.raises(UserError, match=says):
        predict_options(options)


def test_the_options_of_tracking():
    options = predict_options({"track": True, "count_line": "0, 5,10,5.5", "track_min_score": 0.3})
    assert track_settings(options) == TrackSettings(1.0, 3, 0.3, False, (0.0, 5.0, 10.0, 5.5))
    assert track_settings(predict_options({})) is None
