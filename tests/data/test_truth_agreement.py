"""The ground truth that the COCO converter writes, and a given file held against the records."""

import json

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import coco_format
from efficientvision.data.data_folder import find_data
from efficientvision.data.ground_truth import coco_ground_truth
from efficientvision.errors import UserError
from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.detection.coco_source import measuring
from efficientvision.tasks.detection.ground_truth_checks import id_findings

NAMES = {1: "cell"}


@pytest.fixture
def coco(tmp_path):
    """convert(size, exif, boxes) of two photos; returns (report, records, the instances file)."""

    def convert(size=(48, 32), exif=None, boxes=([4, 6, 20, 10], [8, 2, 30, 20])):
        folder, tag = tmp_path / "photos", Image.Exif()
        folder.mkdir(exist_ok=True)
        if exif:
            tag[0x0112] = exif
        images, annotations = [], []
        for i, box in enumerate(boxes, 1):
            Image.new("RGB", size, (i, 0, 0)).save(folder / f"{i}.jpg", exif=tag)
            images.append({"id": i, "file_name": f"{i}.jpg", "width": 48, "height": 32})
            annotations.append({"id": i, "image_id": i, "category_id": 1, "bbox": box, "area": 9})
        categories = [{"id": 1, "name": "cell"}]
        path = tmp_path / "annotations" / "instances_val.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
        prefix = tmp_path / "tfrecord" / "val"
        (report,) = coco_format.convert(
            str(folder), str(prefix), object_annotations_file=str(path), num_shards=1,
            num_workers=1,
        )  # fmt: skip
        return report, f"{prefix}*", str(path)

    return convert


def perfect(records, json_file):
    """AP of the records' own boxes as detections."""
    evaluator = measuring(records, NAMES, json_file)
    truth = coco_ground_truth(records)
    for image in truth["images"]:
        own = [a["bbox"] for a in truth["annotations"] if a["image_id"] == image["id"]]
        boxes = np.array([[y, x, y + h, x + w] for x, y, w, h in own]).reshape(1, -1, 4)
        ones = np.ones(boxes.shape[:2])
        evaluator.update([image["id"]], boxes, ones, ones, [boxes.shape[1]])
    return evaluator.compute()["AP"]


@pytest.mark.parametrize(
    "changes",
    [{"exif": 6}, {"size": (24, 16)}, {"boxes": ([-16, 6, 40, 10], [8, 2, 30, 20])}],
    ids=["drawn lying", "shrunk since", "over the edge"],
)
def test_a_file_of_other_boxes(coco, tmp_path, capsys, changes):
    report, records, instances = coco(**changes)
    own = str(tmp_path / "tfrecord" / "json_val.json")
    assert own in report.sidecars and f"`val_json_file={own}`" in str(report)
    assert find_data(tmp_path).ground_truth_json == own
    assert perfect(records, own) == perfect(records, None) == 1.0
    assert "WARNING" not in capsys.readouterr().out
    finding = id_findings(scan_records(records), instances)[-1]
    if "boxes" in changes:
        assert perfect(records, instances) < 1
        said = capsys.readouterr().out
        assert "1 of 2 boxes compared differ" in said and f"`val_json_file={own}`" in said
        assert finding.level == WARNING and own in finding.advice
        return
    with pytest.raises(UserError, match=r"2 of 2 images have another size there") as raised:
        perfect(records, instances)
    assert f"`val_json_file={own}`" in str(raised.value)
    assert finding.level == ERROR and own in finding.advice


def test_a_file_that_fits_is_used_as_it_is(coco, tmp_path, capsys):
    coco(exif=6)
    # Published boxes pass the edge by a rounding.
    report, records, instances = coco(boxes=([4, 6, 20, 10], [8, 2, 40.4, 30]))
    assert not (tmp_path / "tfrecord" / "json_val.json").exists()
    assert find_data(tmp_path).ground_truth_json == instances
    assert perfect(records, instances) == 1.0
    assert "WARNING" not in capsys.readouterr().out
    assert id_findings(scan_records(records), instances)[-1].level == OK


def test_what_the_file_lacks_is_said(coco, capsys):
    _, records, instances = coco()
    content = json.load(open(instances))
    content["annotations"][0]["image_id"] = 99
    json.dump(content, open(instances, "w"))
    measuring(records, NAMES, instances)
    said = capsys.readouterr().out
    assert "1 annotations of images that the file does not list skipped" in said
    content["annotations"][1]["image_id"] = 99
    json.dump(content, open(instances, "w"))
    assert perfect(records, instances) == -1
    assert "every metric will be '-'" in capsys.readouterr().out
    content["annotations"][1].update(image_id=1, category_id=-5)
    json.dump(content, open(instances, "w"))
    with pytest.raises(UserError, match="annotation 2 has category_id -5"):
        measuring(records, NAMES, instances)


def test_records_without_boxes_say_nothing_of_boxes(coco, tmp_path, capsys):
    _, _, instances = coco()
    prefix = tmp_path / "tfrecord" / "plain"
    coco_format.convert(
        str(tmp_path / "photos"), str(prefix), image_info_file=instances, num_workers=1
    )
    measuring(f"{prefix}*", NAMES, instances)
    assert "WARNING" not in capsys.readouterr().out
