import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision import loading
from efficientvision.errors import UserError
from efficientvision.loading import class_names, run_folder_of
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.predictor import Detection, Detections, Detector
from efficientvision.weights.report import LoadReport
from tests.filled_detector import NAMES, filled_detector, textured_photo, write_filled_checkpoint
from tests.small_networks import DETECTOR_HW, OBJECT_NAMES, exported, small_detector

PHOTO = textured_photo(150, 110)


@pytest.fixture(scope="module")
def detector():
    return Detector.from_loaded(small_detector())


def assert_equal(one, other):
    assert len(one) == len(other) > 3
    np.testing.assert_allclose(one.boxes_yxyx, other.boxes_yxyx, atol=0.05)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert one.names == other.names


def test_the_public_name():
    assert ev.Detector is Detector


def test_array_file_and_pil_give_the_same(detector, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    expected = detector(PHOTO)
    assert_equal(detector(tmp_path / "photo.png"), expected)
    assert_equal(detector(str(tmp_path / "photo.png")), expected)
    assert_equal(detector(Image.fromarray(PHOTO)), expected)
    several = detector([PHOTO, tmp_path / "photo.png"])
    assert isinstance(several, list) and len(several) == 2
    assert_equal(several[1], expected)


@pytest.mark.parametrize(
    ("baked", "asked", "calls"),
    [
        (None, 1, [(6, 4)] * 4 + [(4, 8)] * 3),
        (None, 3, [(6, 4), (4, 8), (6, 4)]),
        (3, 1, [(6, 4), (4, 8), (6, 4)]),
    ],
)
def test_photos_of_one_size_go_together(baked, asked, calls):
    seen = []

    def run(images):
        """Finds one object in each photo, as wide as the photo is bright."""
        seen.append(images.shape)
        rows = np.zeros((len(images), 2, 7), np.float32)
        rows[:, 0, 4] = images[:, 0, 0, 0]
        rows[:, 0, 5:] = (0.9, 1)
        return rows

    metadata = DetectionMetadata("efficientdet-d0", (128, 128), 3, NAMES, batch_size=baked)
    sizes = [(6, 4), (4, 8), (6, 4), (6, 4), (4, 8), (4, 8), (6, 4)]
    photos = [np.full((*hw, 3), i + 1, np.uint8) for i, hw in enumerate(sizes)]
    found = Detector(run, metadata)(photos, batch_size=asked)
    assert [detections.boxes_yxyx[0, 3] for detections in found] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(shape[1:3] for shape in seen) == sorted(calls)
    full = baked or asked
    if baked:
        assert {shape[0] for shape in seen} == {baked}
    else:
        assert sum(shape[0] for shape in seen) == 7 and max(shape[0] for shape in seen) == full


def test_a_batch_gives_what_each_photo_gives(detector):
    other = textured_photo(150, 110, seed=1)
    first, second = detector([PHOTO, other], batch_size=2)
    assert_equal(first, detector(PHOTO))
    assert_equal(second, detector(other))
    assert not np.array_equal(first.boxes_yxyx, second.boxes_yxyx)


def test_detections_are_a_sequence_with_names(detector):
    found = detector(PHOTO)
    assert found.boxes_yxyx.shape == (len(found), 4) and found.classes.dtype == np.int32
    assert (np.diff(found.scores) <= 0).all() and (found.scores >= 0.6).all()
    for one, name, class_id in zip(found, found.names, found.classes, strict=True):
        assert isinstance(one, Detection)
        assert one.name == name == NAMES[class_id] and one.class_id == class_id
    assert found[0].score == pytest.approx(found.scores[0])


def test_exports_give_the_same_detections(detector):
    folder = exported("detector")
    expected = detector(PHOTO)
    for path in (folder, folder / "efficientdet-d0_frozen.pb"):
        loaded = Detector.from_checkpoint(path)
        assert loaded.class_names == OBJECT_NAMES
        assert loaded.metadata.model_name == "efficientdet-d0"
        assert_equal(loaded(PHOTO), expected)
    above = Detector.from_checkpoint(folder, min_score_thresh=0.7)(PHOTO)
    assert len(above) == (expected.scores >= 0.7).sum() < len(expected)


def test_what_is_baked_into_an_export_cannot_be_changed():
    folder = exported("detector")
    with pytest.raises(UserError, match="nms_method"):
        Detector.from_checkpoint(folder, nms_method="gaussian")
    with pytest.raises(UserError, match="image_size"):
        Detector.from_checkpoint(folder, image_size=64)


def test_an_exif_orientation_is_applied(detector, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees to the right.
    Image.fromarray(np.rot90(PHOTO)).save(tmp_path / "turned.png", exif=exif)
    assert_equal(detector(tmp_path / "turned.png"), detector(PHOTO))


def test_the_network_is_traced_once_for_all_sizes(monkeypatch):
    traces = []
    loaded = small_detector()
    detector = Detector.from_loaded(loaded)
    original = type(loaded.model).__call__

    def counted(self, *args, **kwargs):
        traces.append(1)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(type(loaded.model), "__call__", counted)
    for hw in ((100, 120), (64, 200), (300, 300)):
        detector(textured_photo(*hw))
    assert len(traces) == 1


def test_boxes_grow_with_the_photo(detector):
    height, width = DETECTOR_HW
    small = textured_photo(height, width)
    double = (2 * width, 2 * height)
    large = np.asarray(Image.fromarray(small).resize(double, Image.Resampling.NEAREST))
    one, two = detector(small), detector(large)
    np.testing.assert_allclose(2 * one.boxes_yxyx[0], two.boxes_yxyx[0], atol=2.0)


def test_drawing_shows_the_boxes(detector):
    found = detector(PHOTO)
    picture = np.asarray(detector.draw(PHOTO, found, line_thickness=1))
    assert picture.shape == PHOTO.shape
    changed = np.any(picture != PHOTO, axis=-1)
    height, width = changed.shape
    for box in found.boxes_yxyx[:3]:
        y = int(np.clip(np.rint(box[0]), 0, height - 1))
        x0, x1 = (int(np.clip(np.rint(v), 0, width - 1)) for v in box[[1, 3]])
        assert changed[y, x0 : x1 + 1].all()
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int32), [])
    assert np.array_equal(np.asarray(detector.draw(PHOTO, nothing)), PHOTO)


@pytest.mark.slow
@pytest.mark.parametrize("fpn_name", ["bifpn", "vfpn"])
def test_a_checkpoint_tells_model_fusion_classes_and_names(fpn_name, tmp_path, capsys):
    folder = write_filled_checkpoint(tmp_path / "run", fpn_name)
    detector = Detector.from_checkpoint(
        folder, image_size=128, min_score_thresh=0.6, nms_method="hard"
    )
    printed = capsys.readouterr().out
    assert "efficientdet-d0" in printed and f"fpn_name={fpn_name}" in printed
    assert detector.metadata.fpn_name == fpn_name and detector.metadata.num_classes == 3
    assert detector.class_names == NAMES
    if fpn_name == "bifpn":  # The other one reads its anchors differently than the filled one.
        assert_equal(detector(PHOTO), Detector.from_loaded(filled_detector(fpn_name, False))(PHOTO))


@pytest.mark.parametrize(
    ("photo", "complaint"),
    [
        (np.zeros((0, 20, 3), np.uint8), "has no pixels"),
        ("missing.jpg", "missing.jpg"),
    ],
)
def test_bad_photos(detector, photo, complaint):
    with pytest.raises(UserError, match=complaint):
        detector(photo)


def test_bad_checkpoints(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        Detector.from_checkpoint(tmp_path / "nowhere")
    with pytest.raises(UserError, match="nowhere_frozen.pb"):
        Detector.from_checkpoint(tmp_path / "nowhere_frozen.pb")


def test_a_checkpoint_without_a_part_of_the_network_is_refused(tmp_path, monkeypatch):
    """Detections of random weights would look like those of a bad network."""
    folder = write_filled_checkpoint(tmp_path / "run", shallow=True)
    report = LoadReport(str(folder), "tf1", missing=["box_net/kernel"])
    monkeypatch.setattr(loading, "load_weights", lambda *_, **__: report)
    with pytest.raises(UserError, match="lacks 1 variables of the model, the first is box_net"):
        Detector.from_checkpoint(folder, "efficientdet-d0", image_size=64, num_classes=3)


def test_names_come_from_the_run_then_the_label_map_then_coco(tmp_path):
    config = ev.get_config("efficientdet-d0")
    assert class_names(config, tmp_path / "model")[90] == "toothbrush"
    config.override({"num_classes": 2})
    assert class_names(config, tmp_path / "model") == {}
    config.override({"label_map": {1: "one", 2: "two"}})
    assert class_names(config, tmp_path / "model") == {1: "one", 2: "two"}
    (tmp_path / "labels.json").write_text('{"1": "eins", "2": "zwei"}')
    assert class_names(config, tmp_path / "model") == {1: "eins", 2: "zwei"}
    (tmp_path / "archive").mkdir()
    assert run_folder_of(tmp_path / "archive") == str(tmp_path)
