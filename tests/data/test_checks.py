"""Damaged records, the report on records, and their ground truth."""

import pytest

from efficientvision.data import checks
from efficientvision.data.ground_truth import coco_ground_truth
from efficientvision.data.inspection.boxes import BoxReport
from efficientvision.data.inspection.report import inspect_records
from efficientvision.data.record_files import iter_records, match_files, write_shards
from efficientvision.data.records import decode_example, encode_example
from efficientvision.errors import UserError
from efficientvision.tasks.detection.augmentation import Augmentation
from efficientvision.tasks.detection.pipeline import detection_dataset


def edit(pattern, change, name="edited"):
    """Rewrites the records in order, `change(example)` in place of each; the new pattern."""
    examples = [decode_example(r) for path in match_files(pattern) for r in iter_records(path)]
    prefix = pattern.removesuffix("set-*") + name
    write_shards(examples, lambda e: encode_example(change(e)), prefix, num_shards=1, num_workers=1)
    return f"{prefix}-*"


def replaced(example, **changes):
    import dataclasses

    return dataclasses.replace(example, **changes)


@pytest.fixture
def truncated(make_records):
    def cut(example):
        if example.source_id != "3":
            return example
        return replaced(example, encoded=example.encoded[: len(example.encoded) // 2])

    return edit(make_records(5, image_format="JPEG"), cut)


@pytest.mark.parametrize("training", [True, False])
def test_a_truncated_jpeg_is_named(truncated, training):
    dataset = detection_dataset(
        truncated,
        image_hw=(64, 64),
        batch_size=1,
        training=training,
        num_epochs=1,
        augmentation=Augmentation(jitter_min=1.0, jitter_max=1.0),
    )
    with pytest.raises(
        UserError, match=r"edited-00000.*image '3' \(2\.jpeg\), cannot.*JPEG is truncated"
    ):
        for _ in checks.iterate(dataset, truncated):
            pass


def test_undamaged_records(make_records):
    pattern = make_records(3)
    assert checks.find_bad_record(pattern) is None
    # An error that no record explains is passed on as it is.
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError), checks.data_errors(pattern):
        raise tf.errors.InvalidArgumentError(None, None, "something else")


def test_report(truncated, make_records):
    clean = inspect_records(make_records(6, name="ok", boxes_per_image=(3, 0)), BoxReport())
    assert clean.problems == {}
    assert (clean.num_images, clean.num_empty, clean.num_boxes, clean.num_crowds) == (6, 3, 9, 3)
    assert clean.classes == {1: 6, 2: 3} and clean.max_boxes == 3
    assert clean.image_sizes[60, 80] == 1 and "none found" in str(clean)

    damaged = inspect_records(truncated, BoxReport(num_classes=2))
    assert list(damaged.problems) == ["images that cannot be decoded"]
    assert "image '3'" in str(damaged)

    def spoil(example):
        boxes = example.boxes_yxyx.copy()
        if example.source_id == "1":
            boxes[0] = [10, 10, 10, 20]
        if example.source_id == "2":
            boxes[0] = [10, 10, 20, 200]
        name = "1" if example.source_id == "4" else example.source_id
        return replaced(example, boxes_yxyx=boxes, source_id=name)

    report = inspect_records(
        edit(truncated.replace("edited-*", "set-*"), spoil, name="spoilt"),
        BoxReport({2: "two"}, max_instances_per_image=0),
    )  # fmt: skip
    found = {kind.split(" with more")[0]: len(places) for kind, places in report.problems.items()}
    assert found == {
        "degenerate boxes": 1,
        "boxes leaving their image": 1,
        "repeated image ids": 1,
        "boxes of an unknown class": 5,
        "images": 5,
    }


def test_ground_truth_from_records(make_records):
    pattern = make_records(4, boxes_per_image=(0, 3))
    truth = coco_ground_truth(pattern, {1: "a", 2: "b"})
    assert sorted(i["id"] for i in truth["images"]) == [1, 2, 3, 4]
    assert [a["image_id"] for a in truth["annotations"]] == [2, 2, 2, 4, 4, 4]
    assert [a["iscrowd"] for a in truth["annotations"]] == [0, 1, 0] * 2
    for a in truth["annotations"]:
        assert a["area"] == pytest.approx(a["bbox"][2] * a["bbox"][3], rel=1e-5)
    assert truth["categories"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert len(coco_ground_truth(pattern, max_examples=2)["images"]) == 2
    with pytest.raises(UserError, match="Two records .* image id 1"):
        coco_ground_truth(edit(pattern, lambda e: replaced(e, source_id="1")))
    with pytest.raises(UserError, match="no image/source_id"):
        coco_ground_truth(edit(pattern, lambda e: replaced(e, source_id="")))
