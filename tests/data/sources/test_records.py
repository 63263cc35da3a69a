"""From a folder or file to its records: recognition, choice, and errors that say what was found."""

import logging

import numpy as np
import pytest
from PIL import Image

from efficientvision.configs.run_options import DATA_FORMATS
from efficientvision.data.sources import class_folders, records
from efficientvision.data.sources.formats import (
    AUTO,
    FORMATS,
    UnknownLayout,
    find_layout,
    is_data_file,
)
from efficientvision.data.sources.layout import BOXES, CLASSES, MASKS
from efficientvision.data.sources.records import SourceOptions, convert_folder, find_records
from efficientvision.errors import UserError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("ant/1.png", "ant/2.png", "bee/1.png", "bee/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / name)
    return folder


def test_the_options_name_all_formats():
    names = {name for formats in FORMATS.values() for name in formats}
    assert set(DATA_FORMATS) == {AUTO, records.RECORDS, *names}


def test_a_folder_becomes_records_and_the_line_has_counts(photos):
    for _ in range(2):
        found = find_records(photos, (CLASSES, BOXES), SourceOptions())
        assert found.line.startswith(
            f"Data {photos}: class folders (ant/, bee/), 3 photos to train, 1 to validate (held "
            "out: `val_fraction=0.1`, `split_seed=0`), 2 classes; records in "
        )
        assert found.training_records.startswith(f"{photos}/.efficientvision/folders-classes-")
        assert found.training_records.endswith("/train*.tfrecord")
        assert found.evaluation_records.endswith("/val*.tfrecord")


def test_nothing_known(tmp_path, photos):
    for name in ("a.jpg", "b.JPG", "notes.docx", ".hidden"):
        (tmp_path / "x" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "x" / name).write_bytes(b"")
    with pytest.raises(UnknownLayout) as raised:
        find_records(tmp_path / "x", (MASKS,), SourceOptions())
    text = str(raised.value)
    assert "looked for TFRecords, PASCAL VOC's masks" in text
    assert text.endswith("found 2 .jpg files and 1 .docx.")
    with pytest.raises(UnknownLayout, match="It has classes .*: ant/, bee/\\), which suit X:"):
        find_records(photos, (MASKS,), SourceOptions(), suits=lambda kind: "X")
    with pytest.raises(UserError, match="nowhere does not exist"):
        find_records(tmp_path / "nowhere", (MASKS,), SourceOptions())
    (tmp_path / "list.docx").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected a folder, or a file \.csv \(list\), \.txt"):
        find_records(tmp_path / "list.docx", (CLASSES,), SourceOptions())


def test_two_layouts(photos, caplog):
    caplog.set_level(logging.INFO)
    (photos / "all.csv").write_text("ant/1.png,a\nbee/1.png,b\nbee/2.png,b\n")
    line = find_records(photos, (CLASSES,), SourceOptions()).line
    assert "class folders" in line
    assert (
        f"{photos} has several layouts: taking class folders (ant/, bee/); choose another with "
        "`data_format=list` (all.csv)." in caplog.text
    )
    for asked in (photos, photos / "all.csv"):
        options = SourceOptions(data_format="list", val_fraction=0)
        line = find_records(asked, (CLASSES,), options).line
        assert "list (all.csv), 3 photos to train, 2 classes" in line
    with pytest.raises(UserError, match="masks, which suit masks; here it can be folders, list"):
        find_records(photos, (CLASSES,), SourceOptions(data_format="masks"))


def test_records_come_first(photos, caplog):
    caplog.set_level(logging.INFO)
    (photos / "train-00000-of-00001.tfrecord").write_bytes(b"")
    found = find_records(photos, (CLASSES,), SourceOptions())
    assert found.training_records == f"{photos}/train*.tfrecord" and not found.line
    assert "taking the records; choose the other with `data_format=folders`" in caplog.text
    assert find_records(photos, (CLASSES,), SourceOptions(data_format="folders")).line
    with pytest.raises(UserError, match="`val_fraction` does not apply to .*are records already"):
        find_records(photos, (CLASSES,), SourceOptions(val_fraction=0.2))
    found = find_records(photos, (CLASSES,), SourceOptions(val_fraction=0))
    assert found.training_records == f"{photos}/train*.tfrecord"


def test_options_that_do_not_apply(photos):
    with pytest.raises(UserError, match="`val_fraction` must be .* got 1"):
        find_records(photos, (CLASSES,), SourceOptions(val_fraction=1))
    with pytest.raises(UserError, match="`background` does not apply"):
        find_records(photos, (CLASSES,), SourceOptions(background=True))
    (photos / "ant").rename(photos / "x")
    for part in ("train", "val"):
        (photos / part).mkdir()
    (photos / "x").rename(photos / "train" / "x")
    (photos / "bee").rename(photos / "val" / "x")
    with pytest.raises(UserError, match="`split_seed` does not apply .* says itself which"):
        find_records(photos, (CLASSES,), SourceOptions(split_seed=0))
    with pytest.raises(UserError, match="`val_fraction` does not apply .* says itself which"):
        convert_folder(photos, photos / "out", options=SourceOptions(val_fraction=0.2))
    line = find_records(photos, (CLASSES,), SourceOptions(val_fraction=0)).line
    assert "2 photos to train, 2 to validate, 1 class" in line


def test_remote_folders_have_records_only():
    with pytest.raises(UserError, match="only records are read from remote folders"):
        find_records("ram://photos", (CLASSES,), SourceOptions())


def test_conversion_to_a_folder(photos, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    reports = convert_folder(photos, tmp_path / "out", options=SourceOptions(), num_workers=1)
    assert [report.num_images for report in reports] == [3, 1]
    assert "instead of" not in caplog.text  # Nobody asked for a number of files.
    few = SourceOptions(val_fraction=0)
    convert_folder(photos, tmp_path / "out", options=few, num_shards=8, num_workers=1)
    assert "4 images: writing 4 shards instead of 8" in caplog.text
    with pytest.raises(UserError, match="remote"):
        convert_folder("gs://a/b", tmp_path / "out", options=few)
    for says, options in {
        "`data_format=records`": {"data_format": "records"},
        "`background` does not apply": {"background": True},
        "`data_cache` is not used": {"data_cache": "x"},
        "`val_fraction` must be": {"val_fraction": 2},
    }.items():
        with pytest.raises(UserError, match=says):
            convert_folder(photos, tmp_path / "out", options=SourceOptions(**options))


def test_a_damaged_photo(photos):
    (photos / "ant" / "1.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match="ant/1.png is not a picture .* `on_bad_record=skip`"):
        find_records(photos, (CLASSES,), SourceOptions())
    assert not (photos / ".efficientvision").exists()
    options = SourceOptions(skip_bad=True, val_fraction=0)
    assert "3 photos to train" in find_records(photos, (CLASSES,), options).line


def test_data_files(tmp_path):
    for name in ("data.yaml", "train.csv", "a.json", "val-00000-of-00001.tfrecord"):
        (tmp_path / name).write_text("")
        assert is_data_file(tmp_path / name) == (name[0] != "v")
    assert not is_data_file(tmp_path / "no.csv")


def test_a_preferred_format_that_cannot_be_used(photos, caplog):
    """Its error must not be hidden by an old list beside it."""
    caplog.set_level(logging.INFO)
    (photos / "data.yaml").write_text("train: imgaes\nval: ant\nnames: [x]\n")
    (photos / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax,class\nant/1.png,0,0,2,2,x\n")
    says = r"train are in imgaes, .* Or take CSV \(boxes.csv\) by `data_format=csv`\.$"
    with pytest.raises(UserError, match=says):
        find_records(photos, (BOXES,), SourceOptions())
    assert find_layout(str(photos), (BOXES,), "csv").format == "csv"
    # Those that come later, or are of other labels, are no doubt.
    (photos / "labels.csv").write_text("path,label\nant/1.png,a\nant/9.png,b\n")
    assert find_layout(str(photos), (CLASSES, BOXES)).format == "folders"
    assert "Not taken: " in caplog.text and "there is no image" in caplog.text
    assert "imgaes" not in caplog.text


def test_the_only_photo_held_out_is_damaged(photos, monkeypatch):
    def first(items, *_, **__):
        return items[1:], items[:1]

    monkeypatch.setattr(class_folders, "hold_out", first)
    (photos / "ant" / "1.png").write_bytes(b"damaged")
    says = r"No image is left.* add images to the part val\. Another `split_seed` holds out others"
    with pytest.raises(UserError, match=says):
        find_records(photos, (CLASSES,), SourceOptions(skip_bad=True))
