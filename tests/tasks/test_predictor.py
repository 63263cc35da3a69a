"""What all predictors take, and what can be done with every result."""

import dataclasses
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.predictor import Classification, Classifier
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.predictor import Detections, Detector
from efficientvision.tasks.metadata import metadata_from_json
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.predictor import Segmentation, Segmenter

NAMES = {1: "dark", 2: "light"}


def grey(level, hw=(6, 8)):
    return np.full((*hw, 3), level, np.uint8)


@pytest.fixture
def detector():
    """Finds one object as wide as the photo is bright, light from 100 on, and a poor one."""

    def run(images):
        rows = np.zeros((len(images), 2, 7), np.float32)
        level = images[:, 0, 0, 0]
        rows[:, :, 3:5] = np.stack([np.full(len(images), 5), level], 1)[:, None]
        rows[:, :, 5] = 0.9, 0.3
        rows[:, :, 6] = 1 + (level >= 100)[:, None]
        return rows

    return Detector(run, DetectionMetadata("d", (64, 64), 2, NAMES, batch_size=None))


@pytest.fixture
def classifier():
    """As light as the photo's first pixel is."""

    def run(images):
        light = images[:, 0, 0, 0] / 255
        return np.stack([1 - light, light], 1).astype(np.float32)

    return Classifier(run, ClassificationMetadata("c", (64, 64), 2, NAMES, batch_size=None))


@pytest.fixture
def segmenter():
    """Class 1 where a pixel is brighter than the middle."""

    def run(images):
        return np.stack([127.5 - images[..., 0], images[..., 0] - 127.5], -1).astype(np.float32)

    metadata = SegmentationMetadata(
        "s",
        (6, 8),
        2,
        {0: "dark", 1: "light"},
        batch_size=None,
        palette=[[0, 0, 0], [9, 9, 9]],
        result="logits",
    )
    return Segmenter(run, metadata)


@pytest.fixture
def folder(tmp_path):
    """Three photos, grey 10, 120 and 250, and something else."""
    for level in (10, 120, 250):
        Image.fromarray(grey(level)).save(tmp_path / f"level {level:03d}.png")
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def widths(results):
    return [float(result.boxes_yxyx[0, 3]) for result in results]


@pytest.mark.parametrize("pattern", ["", "*.png", "level*"])
def test_a_folder_or_a_glob_is_looked_at_lazily_and_in_order(detector, folder, pattern):
    results = detector(folder / pattern, batch_size=2)
    assert isinstance(results, types.GeneratorType)
    found = list(results)
    assert widths(found) == [10, 120, 250]
    assert [result.origin.name for result in found] == ["level 010", "level 120", "level 250"]
    assert found[0].origin.hw == (6, 8)


@pytest.mark.parametrize(
    "array",
    [
        grey(120),
        grey(120)[..., 0],
        grey(120)[..., :1],
        np.dstack([grey(120), np.zeros((6, 8), np.uint8)]),
        grey(120).astype(np.float32),
        grey(120) / 255,
        grey(120).astype(np.uint16) << 8,
        grey(120).astype(np.int64),
        Image.fromarray(grey(120)),
        Image.fromarray(grey(120)[..., 0]),
    ],
)
def test_arrays_of_every_kind_are_one_photo(detector, array):
    result = detector(array)
    assert isinstance(result, Detections) and widths([result]) == [120]


def test_a_batch_is_a_list(detector):
    results = detector(np.stack([grey(10), grey(20)]))
    assert isinstance(results, list) and widths(results) == [10, 20]
    assert widths(detector(np.stack([grey(10)[..., 0]])[..., None])) == [10]


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((4, 5, 2), np.uint8), r"\[H, W, 3\]"),
        (np.zeros((0, 5, 3), np.uint8), "has no pixels"),
        (np.full((4, 5, 3), -0.1), "0..1 or 0..255"),
        (np.full((4, 5, 3), np.nan), "0..1 or 0..255"),
        (np.full((4, 5, 3), 300), "300"),
        (np.array("abc"), r"\[H, W, 3\]"),
    ],
)
def test_what_is_no_photo(detector, array, complaint):
    with pytest.raises(UserError, match=complaint):
        detector(array)


def test_options_of_a_call(detector):
    assert len(detector(grey(10))) == 2
    assert len(detector(grey(10), min_score_thresh=0.5)) == 1
    assert len(detector(grey(10), top_k=1)) == 1
    assert len(detector(grey(10), classes=["light"])) == 0
    assert len(detector(grey(110), classes=[2])) == 2
    with pytest.raises(UserError, match="no class 'lihgt'.*light"):
        detector(grey(10), classes=["lihgt"])


def test_options_of_a_classifier(classifier):
    assert classifier(grey(204))[0] == ("light", pytest.approx(0.8))
    assert len(classifier(grey(204), top_k=1)) == 1
    assert [p.name for p in classifier(grey(204), min_score_thresh=0.5)] == ["light"]
    assert [p.name for p in classifier(grey(204), classes=["dark"])] == ["dark"]
    assert classifier.classify([grey(204)], top_k=1) == [[("light", pytest.approx(0.8))]]
    with pytest.raises(UserError, match="no class"):
        classifier(grey(204), classes=["drak"])


def test_probabilities_of_a_segmenter(segmenter):
    photo = grey(0)
    photo[:, 4:] = 255
    result = segmenter(photo, probabilities=True)
    assert result.probabilities.shape == (6, 8, 2)
    np.testing.assert_allclose(result.probabilities.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(result.class_map, photo[..., 0] // 255)
    plain = segmenter(photo)
    assert plain.probabilities is None
    np.testing.assert_array_equal(plain.class_map, result.class_map)
    np.testing.assert_array_equal(segmenter.predict(photo), result.class_map)
    with pytest.raises(UserError, match="segmentation_output=logits"):
        Segmenter(lambda images: images[..., 0], classes_only(segmenter))(photo, probabilities=True)


def classes_only(segmenter):
    return dataclasses.replace(segmenter.metadata, result="class_map")


def test_what_results_say_of_themselves(detector, classifier, segmenter):
    assert repr(detector(grey(10))) == "<Detections: dark 0.90, dark 0.30>"
    assert repr(classifier(grey(255), top_k=1)) == "<Classification: light 100.0%>"
    assert repr(segmenter(grey(0))) == "<Segmentation: dark 100.0%>"
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), [])
    assert repr(empty) == "<Detections: none>"


def test_results_as_numbers_and_texts(detector, classifier, segmenter, folder):
    path = folder / "level 010.png"
    told = json.loads(detector(path).to_json())
    assert (told["photo"], told["height"], told["width"]) == (str(path), 6, 8)
    assert told["detections"][0] == {
        "box_yxyx": [0.0, 0.0, 5.0, 10.0],
        "score": pytest.approx(0.9),
        "class_id": 1,
        "name": "dark",
    }
    assert classifier(grey(255)).to_dict()["classes"][0] == {"name": "light", "probability": 1.0}
    assert classifier(grey(255)).to_dict()["photo"] is None
    assert segmenter(path).to_dict()["classes"] == [{"name": "dark", "share": 1.0}]


@pytest.mark.parametrize("kind", ["detector", "classifier", "segmenter"])
def test_results_are_saved_under_their_photos_names(kind, folder, request):
    predictor = request.getfixturevalue(kind)
    for result in predictor(folder):
        written = result.save(folder / "out")
    assert written[:2] == tuple(
        str(folder / "out" / f"level 250{end}") for end in (".jpg", ".json")
    )
    names = sorted(path.stem for path in (folder / "out").glob("*.json"))
    assert names == ["level 010", "level 120", "level 250"]
    text = predictor(folder / "level 120.png").to_json()
    assert json.loads((folder / "out" / "level 120.json").read_text()) == json.loads(text)
    with Image.open(folder / "out" / "level 120.jpg") as picture:
        assert picture.width >= 8
    if kind == "segmenter":
        with Image.open(written[2]) as picture:
            assert picture.mode == "P" and np.asarray(picture).max() == 1


def test_equal_names_do_not_overwrite_each_other(detector, tmp_path):
    for name in ("a.png", "a.bmp", "sub one/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(grey(10)).save(tmp_path / name)
    listed = [*sorted(tmp_path.glob("*.*")), tmp_path / "sub one" / "a.png", grey(3)]
    written = [result.save(tmp_path / "out") for result in detector(listed)]
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.jpg")}
    assert names == {"a.png.jpg", "a.bmp.jpg", "sub one/a.jpg", "3.jpg"} and len(written) == 4


@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_minimum_scores_by_class(kind, request):
    predictor = request.getfixturevalue(kind)
    all_found = len(predictor(grey(10)))
    assert len(predictor(grey(10), min_score_thresh="dark=1")) < all_found
    assert len(predictor(grey(10), min_score_thresh={"light": 1})) <= all_found
    own = type(predictor)(predictor._run, predictor.metadata, min_score_thresh="0,dark=0.95")
    assert own.thresholds.classes == {1: 0.95}
    metadata = dataclasses.replace(
        predictor.metadata, min_score_thresh=0.2, class_thresholds={1: 0.5}
    )
    read = metadata_from_json(metadata.to_json(), "here")
    assert read == metadata
    stated = type(predictor).from_run(predictor._run, read, "here")
    assert (stated.thresholds.default, stated.thresholds.classes) == (0.2, {1: 0.5})
    assert stated.thresholds.of(np.array([1, 2])).tolist() == pytest.approx([0.5, 0.2])
    asked = type(predictor).from_run(predictor._run, read, "here", min_score_thresh="light=0.1")
    assert asked.thresholds.classes == {1: 0.5, 2: 0.1}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"min_score_thresh": 5}, "between 0 and 1"),
        ({"min_score_thresh": "drak=0.5"}, "Did you mean dark"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"top_k": -1}, "top_k"),
    ],
)
@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_options_out_of_range(kind, options, complaint, request):
    with pytest.raises(UserError, match=complaint):
        request.getfixturevalue(kind)(grey(3), **options)


def test_lower_scores_than_suppression_left_are_told(detector, caplog):
    caplog.set_level("INFO", "efficientvision")
    metadata = dataclasses.replace(detector.metadata, nms={"score_thresh": 0.4})
    cut = Detector(detector._run, metadata)
    cut(grey(3), min_score_thresh=0.5)
    assert not caplog.messages
    cut(grey(3), min_score_thresh=0.1)
    cut(grey(3), min_score_thresh=0.1)
    assert len(caplog.messages) == 1 and "at least 0.4" in caplog.messages[0]


def test_a_result_made_by_hand_has_no_photo(detector):
    result = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), [])
    assert result.to_dict() == {"detections": []}
    with pytest.raises(UserError, match="without a photo"):
        result.draw()
    assert isinstance(detector(grey(3)).draw(), Image.Image)


def test_supervision_is_named_where_it_is_missing(detector, monkeypatch):
    made = {}
    fake = types.SimpleNamespace(Detections=lambda **values: made.update(values) or "made")
    monkeypatch.setitem(sys.modules, "supervision", fake)
    assert detector(grey(10)).to_supervision() == "made"
    np.testing.assert_allclose(made["xyxy"][0], [0, 0, 10, 5])
    assert list(made["data"]["class_name"]) == ["dark", "dark"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="pip install supervision"):
        detector(grey(10)).to_supervision()


def test_a_video_gives_a_result_a_frame(detector, tmp_path):
    pytest.importorskip("av")
    from tests.video.made_video import write_video

    path = tmp_path / "clip.mp4"
    write_video(path, frames=5)
    results = list(detector(path))
    assert len(results) == 5
    assert [results[0].origin.name, results[1].origin.name] == ["clip-000001", "clip-000002"]


def test_kinds_of_results(classifier, segmenter):
    assert isinstance(classifier(grey(1)), Classification)
    assert isinstance(segmenter(grey(1)), Segmentation)
    assert ev.Detector is Detector
