"""`ev.predict` on a video, with a predictor that finds what it is told."""

import csv
import types

import numpy as np
import pytest
from PIL import Image

from efficientvision.configs.predict_options import predict_options
from efficientvision.errors import UserError
from efficientvision.runs.predict import predict
from efficientvision.runs.predict_video import predict_video
from tests.video.made_video import read_video, write_video

FRAMES = 6


class Found:
    """One box that moves; `annotations` as of a detector."""

    names = ("cell",)

    def __init__(self, frame):
        x = 20.0 + 4 * frame
        self.boxes_yxyx = np.array([[20.0, x, 50.0, x + 30]], np.float32)
        self.scores = np.array([0.9], np.float32)
        self.classes = np.array([1])

    def annotations(self):
        return [{"category_id": 1, "score": 0.9}]


class MovingBox:
    """A predictor for videos of `FRAMES` frames, after one call that compiles."""

    metadata = types.SimpleNamespace(batch_size=None, kind="a detector")
    frame_options: dict | None = {}
    draw_options = ("line_thickness", "min_score_thresh")
    call_options = ("classes",)
    table_columns = ("class_id", "score")
    counted = "Objects in all frames"
    class_names = {1: "cell"}
    has_boxes = True
    one_class = False

    def __init__(self):
        self.frame = -1
        self.drawn = []

    def __call__(self, frames, batch_size, **options):
        found = [Found(self.frame + i) for i in range(len(frames))]
        self.frame += len(frames)
        return found

    def table_row(self, annotation, hw):
        return [annotation["category_id"], annotation["score"]]

    def draw(self, frame, found, **options):
        self.drawn.append(options)
        return Image.fromarray(255 - frame)


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "my clip.mp4", frames=FRAMES)
    return str(tmp_path / "my clip.mp4")


def run(clip, folder, predictor=None, **options):
    options = predict_options({"folder": str(folder), **options})
    return predict_video(predictor or MovingBox(), clip, str(folder), options)


def test_the_video_and_a_table_of_its_frames(clip, tmp_path):
    predictor = MovingBox()
    found = run(clip, tmp_path / "out", predictor, line_thickness=3)
    assert found.num_photos == FRAMES and found.counts == {"cell": FRAMES}
    assert found.crossings is None and set(found.files) == {"table", "video"}
    rows = list(csv.DictReader((tmp_path / "out" / "my clip_predictions.csv").open()))
    assert [row["frame"] for row in rows] == [str(i + 1) for i in range(FRAMES)]
    assert list(rows[0]) == ["frame", "seconds", "class_id", "score"]
    assert len(read_video(tmp_path / "out" / "my clip.mp4").pictures) == FRAMES
    assert predictor.drawn == [{"line_thickness": 3}] * FRAMES
    with pytest.raises(UserError, match="my clip_predictions.csv exists: choose another `folder`"):
        run(clip, tmp_path / "out")
    run(clip, tmp_path / "out", overwrite=True, pictures=False)


def test_tracks(clip, tmp_path):
    pytest.importorskip("trackers")
    found = run(clip, tmp_path / "out", track=True, track_min_frames=2, count_line="45,0,45,100")
    assert found.counts == {"cell": 1} and found.crossings == {"in": {"cell": 1}, "out": {}}
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        *("my clip.mp4", "my clip_tracks.csv", "my clip_tracks.json", "my clip_tracks.txt")
    ]


def test_results_that_are_not_drawn_into_frames_are_a_table(clip, tmp_path, monkeypatch):
    predictor = MovingBox()
    predictor.frame_options = None
    monkeypatch.delattr(Found, "names")
    found = run(clip, tmp_path / "out", predictor)
    assert set(found.files) == {"table"} and not predictor.drawn
    assert found.counts == {"cell": FRAMES}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"save_txt": True}, "`save_txt` is for photos"),
        ({"resume": True}, "`resume` is for photos"),
        ({"top_k": 3}, "`top_k` does not apply to a detector"),
        ({"track": True}, "`track` needs boxes"),
    ],
)
def test_options_that_do_not_apply(clip, tmp_path, options, says):
    predictor = MovingBox()
    predictor.has_boxes = False
    with pytest.raises(UserError, match=says):
        run(clip, tmp_path / "out", predictor, **options)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_folder_of_the_video_itself(clip, tmp_path):
    with pytest.raises(UserError, match="is the folder of the video"):
        run(clip, tmp_path, overwrite=True)


def test_photos_have_no_tracks(tmp_path):
    with pytest.raises(UserError, match="`track` follows objects through a video"):
        predict("no model", tmp_path, tmp_path / "out", track=True)
