"""COCO annotations -> records."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import coco_format, coco_json
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.errors import UserError


def read(prefix):
    examples = [
        decode_example(r) for p in match_files(f"{prefix}-*.tfrecord") for r in iter_records(p)
    ]
    return {e.source_id: e for e in examples}


def test_instances(coco_folder, tmp_path):
    images, instances, captions = coco_folder
    (report,) = coco_format.convert(
        images, str(tmp_path / "t" / "val"), object_annotations_file=instances,
        caption_annotations_file=captions, include_masks=True, num_workers=1,
    )  # fmt: skip
    assert (report.num_images, report.num_boxes) == (2, 3)
    assert report.skipped == {coco_format.CUT: 1, coco_json.EMPTY: 1}
    assert "never" not in str(report) and "1 boxes clipped to the edge" in str(report)
    examples = read(tmp_path / "t" / "val")
    first, second = examples["139"], examples["20000000007"]
    expected = [[10, 10, 20, 20], [0, 0, 20, 30], [10, 45, 20, 50]]
    np.testing.assert_allclose(first.boxes_yxyx, expected, atol=1e-4)
    assert first.classes == [90, 1, 1]
    assert first.class_names == ["toothbrush", "person", "person"]
    assert first.is_crowd == [0, 1, 0] and first.areas == [100.0, 77.0, 50.0]
    assert first.captions == ["a grey picture", "nothing to see"] and second.captions is None
    assert second.classes == []
    square, run, _ = (np.asarray(Image.open(io.BytesIO(m))) for m in first.masks)
    assert square.shape == run.shape == (40, 50)
    np.testing.assert_array_equal(np.argwhere(square).min(0), [10, 10])
    assert square.sum() == 100 and square.max() == 1
    # Uncompressed run lengths, column by column: 400 ones are the first ten columns.
    np.testing.assert_array_equal(run, np.arange(50)[None].repeat(40, 0) < 10)
    labels = json.load(open(tmp_path / "t" / "labels.json"))
    assert labels == {"1": "person", "90": "toothbrush"}


@pytest.mark.parametrize("option", ["caption_annotations_file", "image_info_file"])
def test_without_instances(coco_folder, tmp_path, option):
    images, _, captions = coco_folder
    coco_format.convert(images, str(tmp_path / "val"), **{option: captions}, num_workers=1)
    examples = read(tmp_path / "val")
    assert set(examples) == {"139", "20000000007"}
    assert all(e.classes == [] for e in examples.values())
    has_captions = examples["139"].captions is not None
    assert has_captions == (option == "caption_annotations_file")
    assert not (tmp_path / "labels.json").exists()


def test_bad_input_is_named(coco_folder, tmp_path):
    images, instances, _ = coco_folder
    content = json.load(open(instances))

    def convert(image_dir=images, **options):
        coco_format.convert(image_dir, str(tmp_path / "out" / "val"), num_workers=1, **options)

    def changed(**changes):
        path = tmp_path / "changed.json"
        path.write_text(json.dumps({**content, **changes}))
        return str(path)

    with pytest.raises(UserError, match="There is no list of images to convert"):
        convert()
    with pytest.raises(UserError, match="nowhere` is not a folder"):
        convert("nowhere", image_info_file=instances)
    with pytest.raises(UserError, match=r"Cannot read none\.json"):
        convert(object_annotations_file="none.json")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"cut\.json is not valid JSON"):
        convert(object_annotations_file=str(tmp_path / "cut.json"))
    with pytest.raises(UserError, match=r"changed\.json has no list 'categories'"):
        convert(object_annotations_file=changed(categories=None))
    with pytest.raises(UserError, match="category_id 90"):
        convert(object_annotations_file=changed(categories=[{"id": 1, "name": "person"}]))
    with pytest.raises(UserError, match="include_masks` needs"):
        convert(image_info_file=instances, include_masks=True)
    os.remove(os.path.join(images, "b.jpg"))
    with pytest.raises(UserError, match=r"b\.jpg is listed in .*instances\.json but does not"):
        convert(object_annotations_file=instances)
    assert not (tmp_path / "out").exists()
