import json
import pathlib

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.detection.coco import METRIC_NAMES, CocoEvaluator, format_metrics
from efficientvision.tasks.detection.coco_backends import available_backends, choose_backend
from efficientvision.tasks.detection.evaluation import DetectionEvaluation

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
NAMES = {1: "one", 2: "two", 3: "three", 4: "four"}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "functions.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("coco/")}


def _predictions(rows):
    """Arguments of `update` after the names, of rows image_id, x, y, w, h, score, class."""
    _, x, y, width, height, score, label = np.moveaxis(rows, -1, 0)
    boxes = np.stack([y, x, y + height, x + width], axis=-1)
    return boxes, score, label, (label > 0).sum(axis=1)


def _groundtruth(rows):
    return {
        "gt_boxes_original_yxyx": rows[..., :4],
        "gt_classes_original": rows[..., 6],
        "gt_is_crowd": rows[..., 4],
    }


def _json_of(rows, image_ids):
    """COCO content for ground-truth rows y1, x1, y2, x2, is_crowd, area, class."""
    annotations = []
    for image_id, image in zip(image_ids, rows.astype(np.float64), strict=True):
        for y1, x1, y2, x2, crowd, _, label in image:
            if label > 0:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": image_id,
                        "category_id": int(label),
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(crowd),
                    }
                )
    return {
        "images": [{"id": image_id} for image_id in image_ids],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
    }


@pytest.mark.parametrize("backend", available_backends())
def test_ground_truth_of_the_records(backend, golden):
    evaluator = CocoEvaluator(None, NAMES, backend=backend)
    for part in (slice(0, 4), slice(4, 6)):
        truth, found = golden["coco/groundtruth"][part], golden["coco/detections"][part]
        evaluator.update(["same"] * len(found), *_predictions(found), _groundtruth(truth))
    metrics = evaluator.compute()
    assert evaluator.num_images == 6
    assert list(metrics)[:12] == list(METRIC_NAMES)
    values = [metrics[name] for name in METRIC_NAMES]
    values += [metrics[f"AP_/{name}"] for name in NAMES.values()]
    np.testing.assert_allclose(values, golden["coco/metrics_with_per_class"], atol=1e-6)


def test_every_installed_library_agrees(golden):
    results = []
    for backend in available_backends():
        content = _json_of(golden["coco/groundtruth"], range(10, 16))
        evaluator = CocoEvaluator(content, backend=backend)
        evaluator.update(range(10, 16), *_predictions(golden["coco/detections"]))
        results.append(evaluator.compute())
    for other in results[1:]:
        assert other == pytest.approx(results[0], abs=1e-9)


def test_ground_truth_of_a_file(golden, tmp_path):
    path = tmp_path / "truth.json"
    content = _json_of(golden["coco/groundtruth"], [5, 3, 9, 100, 7, 1])
    for annotation in content["annotations"]:  # Both may be absent from people's own files.
        del annotation["area"]
        if not annotation["iscrowd"]:
            del annotation["iscrowd"]
    path.write_text(json.dumps(content))
    evaluator = CocoEvaluator(path)
    source_ids = np.array([b"5", b"3", b"9", b"100", b"7", b"1"], object)
    evaluator.update(source_ids, *_predictions(golden["coco/detections"]))
    # The padding of a last batch, and an image that comes again, change nothing.
    again = golden["coco/detections"][:2].copy()
    again[..., 5] = 1.0
    evaluator.update(["", "3"], *_predictions(again))
    metrics = evaluator.compute()
    values = [metrics[name] for name in METRIC_NAMES]
    np.testing.assert_allclose(values, golden["coco/metrics"], atol=1e-6)


def test_only_the_images_that_were_seen_count(golden):
    truth, found = golden["coco/groundtruth"], golden["coco/detections"]
    part = CocoEvaluator(_json_of(truth, range(6)))
    part.update(range(3), *_predictions(found[:3]))
    alone = CocoEvaluator(_json_of(truth[:3], range(3)))
    alone.update(range(3), *_predictions(found[:3]))
    assert part.compute() == pytest.approx(alone.compute())
    part.reset()
    part.update(range(6), *_predictions(found))
    assert part.compute()["AP"] == pytest.approx(golden["coco/metrics"][0], abs=1e-6)


@pytest.mark.parametrize("backend", available_backends())
def test_no_detections_score_zero(backend, golden):
    evaluator = CocoEvaluator(_json_of(golden["coco/groundtruth"], range(6)), backend=backend)
    evaluator.update(range(6), np.zeros((6, 0, 4)), *np.zeros((2, 6, 0)), np.zeros(6))
    metrics = evaluator.compute()
    assert [metrics[name] for name in METRIC_NAMES] == [0.0] * 12


def test_detections_of_unknown_classes_are_left_out(golden):
    evaluator = CocoEvaluator(_json_of(golden["coco/groundtruth"], range(6)))
    boxes, scores, classes, valid = _predictions(golden["coco/detections"])
    extra = np.full((6, 1), 77.0)
    evaluator.update(
        range(6),
        np.concatenate([np.ones((6, 1, 4)), boxes], axis=1),
        np.concatenate([extra, scores], axis=1),
        np.concatenate([extra, classes], axis=1),
        valid + 1,
    )
    assert evaluator.compute()["AP"] == pytest.approx(golden["coco/metrics"][0], abs=1e-6)


def test_ids_that_the_ground_truth_lacks(golden):
    path_free = CocoEvaluator(
        _json_of(golden["coco/groundtruth"], range(6)), records="val-*.tfrecord"
    )
    with pytest.raises(UserError, match=r"val-\*\.tfrecord .*: 17, xyz "):
        path_free.update(["3", "17", "xyz"], *_predictions(golden["coco/detections"][:3]))


def test_bad_ground_truth_files(tmp_path):
    with pytest.raises(UserError, match="absent.json"):
        CocoEvaluator(tmp_path / "absent.json")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(UserError, match="cut.json"):
        CocoEvaluator(tmp_path / "cut.json")
    captions = {"images": [{"id": 1}], "categories": [], "annotations": [{"image_id": 1, "id": 8}]}
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    with pytest.raises(UserError, match="captions.json.*annotation 8 has category_id None"):
        CocoEvaluator(tmp_path / "captions.json")


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_score(backend, count):
    """A run whose evaluation has no object goes on."""
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}]}
    evaluator = CocoEvaluator(truth, backend=backend)
    with pytest.raises(UserError, match="no image"):
        evaluator.compute()
    boxes, ones = np.full((1, count, 4), [[1.0, 2.0, 30.0, 40.0]]), np.ones((1, count))
    evaluator.update([1], boxes, ones, ones, [count])
    assert evaluator.compute() == dict.fromkeys(METRIC_NAMES, -1.0)
    evaluation = DetectionEvaluation(CocoEvaluator(truth, backend=backend), voc=True)
    batch = {"source_id": [1], "images": np.zeros((1, 8, 8, 3)), "valid_hw": [(8, 8)]}
    batch |= {"original_hw": np.array([[40, 50]])}
    found = {"boxes_yxyx": boxes, "scores": ones, "classes": ones, "valid_len": [count]}
    evaluation.update(found, batch)
    metrics = evaluation.compute()
    assert "-" in evaluation.report(metrics) and metrics["AP"] == -1
    evaluation.details()
    evaluation.pictures()


def test_classes_of_one_name_keep_their_own_numbers():
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [30, 1, 20, 20]},
        ],
    }
    evaluator = CocoEvaluator(truth, backend="pycocotools")
    evaluator.update([1], np.array([[[1.0, 1, 21, 21]]]), *np.ones((2, 1, 1)), [1])
    metrics = evaluator.compute()
    assert (metrics["AP_/a (1)"], metrics["AP_/a (2)"]) == (pytest.approx(1), 0)


def test_ground_truth_is_needed():
    with pytest.raises(UserError, match="ground truth"):
        CocoEvaluator().update([1], np.zeros((1, 0, 4)), *np.zeros((2, 1, 0)), [0])


def test_results_file(golden, tmp_path):
    evaluator = CocoEvaluator(_json_of(golden["coco/groundtruth"], range(20, 26)))
    evaluator.update(range(20, 26), *_predictions(golden["coco/detections"]))
    path = tmp_path / "results" / "detections_val.json"
    evaluator.write_results(path)
    results = json.loads(path.read_text())
    assert [p.name for p in path.parent.iterdir()] == ["detections_val.json"]
    rows = golden["coco/detections"]
    assert len(results) == int((rows[..., 6] > 0).sum())
    assert results[0]["image_id"] == 20 and results[-1]["image_id"] == 25
    assert results[0]["category_id"] == int(rows[0, 0, 6])
    np.testing.assert_allclose(results[0]["bbox"], rows[0, 0, 1:5], atol=0.006)
    assert results[0]["score"] == pytest.approx(float(rows[0, 0, 5]), abs=1e-5)


def test_results_have_the_categories_of_the_ground_truth_only(golden, tmp_path):
    """A head of 90 classes has ten that are no COCO categories."""
    truth = _json_of(golden["coco/groundtruth"], range(20, 26))
    kept = truth["categories"][0]
    evaluator = CocoEvaluator({**truth, "categories": [kept], "annotations": []})
    evaluator.update(range(20, 26), *_predictions(golden["coco/detections"]))
    evaluator.write_results(tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["category_id"] for row in results} == {kept["id"]}
    assert len(results) == int((golden["coco/detections"][..., 6] == kept["id"]).sum())


def test_table_names_every_class(golden):
    metrics = dict.fromkeys(METRIC_NAMES, 0.5) | {"APs": -1.0, "AP_/cell": 0.25, "AP50_/cell": 1.0}
    table = format_metrics(metrics).splitlines()
    assert table[4].split() == ["AP", "small", "-"]
    assert table[-1].split() == ["cell", "25.0", "100.0"]


def test_backends_are_named():
    assert choose_backend() == available_backends()[0]
    with pytest.raises(UserError, match="'cocoapi'.*pycocotools"):
        choose_backend("cocoapi")
