"""`ev.predict`: the files that it leaves, read back with the libraries that will read them."""

import contextlib
import csv
import io
import json
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.predictor import Segmenter

NAMES = {1: "dark", 2: 'so "light" <&>'}
PHOTOS = {"a.jpg": 10, "a.png": 120, "sub one/a.jpg": 250, "sub one/été.png": 30}


def detector():
    """One box of 4 x 3 pixels, and one beyond the photo's edge; light from 100 on."""

    def run(images):
        rows = np.zeros((len(images), 3, 7), np.float32)
        rows[:, 0, 1:6] = 1, 2, 4, 6, 0.9
        rows[:, 1, 1:6] = -5, -5, 3, 100, 0.5
        rows[:, :, 6] = 1 + (images[:, :1, 0, 0] >= 100)
        return rows

    return Detector(run, DetectionMetadata("d", (64, 64), 2, NAMES, batch_size=None))


def classifier(*, multilabel=False):
    def run(images):
        light = images[:, 0, 0, 0] / 255
        return np.stack([1 - light, light], 1).astype(np.float32)

    metadata = ClassificationMetadata("c", (64, 64), 2, NAMES, batch_size=None)
    return Classifier(run, ClassificationMetadata(**{**vars(metadata), "multilabel": multilabel}))


def segmenter():
    """The right half is a thing."""

    def run(images):
        maps = np.zeros(images.shape[:3], np.uint8)
        maps[:, :, images.shape[2] // 2 :] = 1
        return maps

    metadata = SegmentationMetadata(
        "s",
        (6, 8),
        2,
        {0: "background", 1: "thing"},
        batch_size=None,
        palette=[[0, 0, 0], [9, 9, 9]],
        result="class_map",
    )
    return Segmenter(run, metadata)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name, level in PHOTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8, 3), level, np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def rows_of(folder):
    with open(folder / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def coco_of(folder):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / "predictions.json"))


def test_boxes(photos, out):
    found = ev.predict(
        detector(), photos, out, batch_size=2, save_txt=True, save_conf=True, save_crops=True
    )
    stems = {"a.jpg", "a.png", "sub one/a", "sub one/été"}
    written = files_in(out)
    assert {f"pictures/{stem}.jpg" for stem in stems} <= written
    assert {f"labels/{stem}.txt" for stem in stems} <= written
    assert {"crops/dark/a.jpg_1.jpg", "crops/so _light_ _&_/sub one/a_2.jpg"} <= written
    assert found.num_photos == 4 and found.counts == {"dark": 4, NAMES[2]: 4} and not found.unread
    assert all(pathlib.Path(path).exists() for path in found.files.values())

    coco = coco_of(out)
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == sorted(PHOTOS)
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == NAMES
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert first["bbox"] == [2, 1, 4, 3] and first["area"] == 12 and first["score"] == 0.9
    assert second["bbox"] == [0, 0, 8, 3]  # Clipped to the photo.
    with contextlib.redirect_stdout(io.StringIO()):
        coco.loadRes(json.loads((out / "predictions.json").read_text())["annotations"])

    rows = rows_of(out)
    assert len(rows) == 8 and {row["photo"] for row in rows} == set(PHOTOS)
    box = [float(rows[0][side]) for side in ("xmin", "ymin", "xmax", "ymax")]
    assert box == [2, 1, 6, 4] and rows[0]["class"] == "dark"
    line = (out / "labels" / "a.png.txt").read_text().splitlines()[0].split()
    assert line[0] == "1"
    assert [float(v) for v in line[1:]] == pytest.approx([0.5, 2.5 / 6, 0.5, 0.5, 0.9], abs=1e-5)
    assert (out / "classes.txt").read_text().splitlines() == list(NAMES.values())
    with Image.open(out / "crops" / "dark" / "a.jpg_1.jpg") as crop:
        assert crop.size == (4, 3)


def test_classes(photos, out):
    found = ev.predict(classifier(), photos, out, save_prelabels="label_studio,cvat")
    assert found.counts == {"dark": 3, NAMES[2]: 1}
    rows = rows_of(out)
    assert [row["class"] for row in rows] == ["dark", "dark", NAMES[2], "dark"]
    assert float(rows[0]["probability"]) == pytest.approx(245 / 255, abs=1e-4)
    assert len(coco_of(out).getAnnIds()) == 4
    tasks = json.loads((out / "prelabels_label_studio.json").read_text())
    assert tasks[2]["data"]["image"] == "/data/local-files/?d=sub%20one/a.jpg"
    (region,) = tasks[2]["predictions"][0]["result"]
    assert region["type"] == "choices" and region["value"] == {"choices": [NAMES[2]]}
    tree = ElementTree.parse(out / "prelabels_cvat.xml")
    assert [tag.get("label") for tag in tree.iter("tag")] == ["dark", "dark", NAMES[2], "dark"]


def test_several_classes_of_a_photo(photos, out):
    found = ev.predict(classifier(multilabel=True), photos, out, min_score_thresh=None)
    assert found.counts == {"dark": 3, NAMES[2]: 1}
    ev.predict(classifier(), photos, out, top_k=2, overwrite=True)
    assert len(rows_of(out)) == 8
    ev.predict(classifier(), photos, out, classes="2", top_k=2, overwrite=True)
    assert {row["class"] for row in rows_of(out)} == {NAMES[2]}


def test_areas(photos, out):
    found = ev.predict(segmenter(), photos, out, save_prelabels="coco,label_studio,cvat")
    assert found.counts == {"background": 4, "thing": 4}
    with Image.open(out / "masks" / "sub one" / "été.png") as mask:
        np.testing.assert_array_equal(np.unique(np.asarray(mask)), [0, 1])
    assert [row["share"] for row in rows_of(out)][:2] == ["0.5", "0.5"]
    coco = coco_of(out)
    (mask,) = coco.loadAnns(coco.getAnnIds(imgIds=[1], catIds=[1]))
    expected = np.zeros((6, 8), np.uint8)
    expected[:, 4:] = 1
    np.testing.assert_array_equal(coco.annToMask(mask), expected)

    masks = list(ElementTree.parse(out / "prelabels_cvat.xml").iter("mask"))
    assert [mask.get("label") for mask in masks] == ["thing"] * 4
    assert masks[0].get("rle") == "0, 24" and masks[0].get("left") == "4"
    region = json.loads((out / "prelabels_label_studio.json").read_text())
    region = region[0]["predictions"][0]["result"][0]
    assert region["value"]["brushlabels"] == ["thing"] and region["original_width"] == 8


def test_boxes_for_annotation_tools(photos, out):
    ev.predict(detector(), photos, out, save_prelabels="label_studio, cvat", pictures=False)
    assert not (out / "pictures").exists()
    root = ElementTree.parse(out / "prelabels_cvat.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iter("label")] == list(NAMES.values())
    image = root.findall("image")[2]
    assert (image.get("name"), image.get("width")) == ("sub one/a.jpg", "8")
    box = image.find("box")
    assert [float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr")] == [2, 1, 6, 4]
    task = json.loads((out / "prelabels_label_studio.json").read_text())[0]
    (region, _) = task["predictions"][0]["result"]
    assert region["value"]["rectanglelabels"] == ["dark"] and region["score"] == 0.9
    assert (region["value"]["x"], region["value"]["width"]) == (25, 50)
    interface = ElementTree.parse(out / "prelabels_label_studio_interface.xml").getroot()
    assert interface.find("RectangleLabels").get("name") == region["from_name"]
    assert [label.get("value") for label in interface.iter("Label")] == list(NAMES.values())


def test_unreadable_photos_are_named_and_the_others_written(photos, out):
    (photos / "broken.jpg").write_bytes(b"no picture")
    found = ev.predict(detector(), photos, out)
    assert list(found.unread) == ["broken.jpg"] and found.num_photos == 4
    assert "not a picture" in found.unread["broken.jpg"]
    with pytest.raises(UserError, match="None of 1 photos"):
        ev.predict(detector(), photos / "broken.jpg", out, overwrite=True)


def broken_off(photos, out, monkeypatch):
    """A prediction that ends after two photos."""
    model, calls = detector(), []

    def draw(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return Detector.draw(model, *args, **options)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(model, "draw", draw)
        ev.predict(model, photos, out)


def test_an_interrupted_prediction_leaves_whole_files_and_is_resumed(photos, out, monkeypatch):
    broken_off(photos, out, monkeypatch)
    assert len(coco_of(out).getImgIds()) == 2 and len(rows_of(out)) == 4
    with open(out / "predictions.jsonl", "a", encoding="utf-8") as file:
        file.write('{"photo": "cut sh')  # As a kill leaves it.
    with pytest.raises(UserError, match="another minimum score"):
        ev.predict(detector_of(0.6), photos, out, resume=True)
    with pytest.raises(UserError, match="another `pictures`"):
        ev.predict(detector(), photos, out, resume=True, pictures=False)
    found = ev.predict(detector(), photos, out, resume=True)
    assert found.num_photos == 4 and len(rows_of(out)) == 8
    whole = ev.predict(detector(), photos, out.parent / "whole")
    assert found.counts == whole.counts
    for name in ("predictions.csv", "predictions.json", "predictions.jsonl"):
        assert (out / name).read_text() == (out.parent / "whole" / name).read_text()


def detector_of(least):
    return Detector(detector()._run, detector().metadata, min_score_thresh=least)


def test_nothing_of_others_is_overwritten(photos, out):
    ev.predict(detector(), photos, out)
    with pytest.raises(UserError, match="earlier prediction"):
        ev.predict(detector(), photos, out)
    (out / "mine.txt").write_text("mine")
    ev.predict(segmenter(), photos, out, overwrite=True, pictures=False)
    assert (out / "mine.txt").exists() and not (out / "pictures").exists()
    (photos / "pictures").mkdir()
    with pytest.raises(UserError, match="pictures, which no prediction has written"):
        ev.predict(detector(), photos, photos)


@pytest.mark.parametrize("place", ["out", ".", ".."])
def test_the_output_folder_may_lie_among_the_photos(photos, place):
    for _ in range(2):
        found = ev.predict(detector(), photos, photos / place, overwrite=True)
        assert found.num_photos == 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"top_k": 0}, "top_k=0"),
        ({"min_score_thresh": 5}, "between 0 and 1"),
        ({"min_scores": 0.5}, "Unknown option min_scores. Did you mean min_score_thresh"),
        ({"save_prelabels": "cvatt"}, "Did you mean cvat"),
        ({"save_conf": True}, "needs `save_txt`"),
        ({"resume": True, "overwrite": True}, "replaces"),
        ({"pictures": "yes"}, "type bool"),
        ({"classes": "drak"}, "no class 'drak'"),
        ({"tile": "64x64"}, "`tile` is fixed in a predictor"),
    ],
)
def test_bad_options(photos, out, options, complaint):
    with pytest.raises(UserError, match=complaint):
        ev.predict(detector(), photos, out, **options)


def test_options_of_other_tasks(photos, out):
    for options in ({"save_txt": True}, {"save_crops": True}, {"top_k": 3}, {"classes": "thing"}):
        with pytest.raises(UserError, match=next(iter(options))):
            ev.predict(segmenter(), photos, out, **options)
    assert not out.exists()


def test_a_prediction_without_results_leaves_nothing(photos, out):
    with pytest.raises(UserError, match="classes"):
        ev.predict(classifier(), photos, out, classes="drak")
    assert not list(pathlib.Path(out).glob("predictions*"))
    assert ev.predict(classifier(), photos, out, classes="dark").num_photos == len(PHOTOS)


def test_resuming_needs_the_same_photos(photos, out):
    first, second = (str(photos / name) for name in ("a.jpg", "sub one/a.jpg"))
    ev.predict(detector(), [first], out)
    with pytest.raises(UserError, match="another folder of the photos"):
        ev.predict(detector(), [second], out, resume=True)


def test_folders_and_globs_among_several_photos(photos, out):
    found = ev.predict(detector(), [photos / "a.jpg", photos / "sub one"], out)
    assert found.num_photos == 3
    with pytest.raises(UserError, match="is a video: predict it alone"):
        ev.predict(detector(), [photos / "a.jpg", "film.mp4"], out, overwrite=True)


def test_a_class_is_not_chosen_because_the_others_are_left_out(photos, out):
    found = ev.predict(classifier(), photos / "a.jpg", out, classes='so "light" <&>')
    assert sum(found.counts.values()) == 0
