"""The converters' command lines write the records that a folder as data source becomes."""

import os

import pytest

from efficientvision.data.sources import csv_boxes, yolo
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.errors import UserError
from tests.data.sources.made_photos import ONE, labelled, photo, text
from tests.programs import dataset_program


def unsplit(folder):
    """Five photos with labels in both formats."""
    for k in range(5):
        labelled(folder, f"{k}", ONE)
    rows = "".join(f"images/{k}.png,10,4,30,14,ant\n" for k in range(5))
    text(folder / "boxes.csv", rows)


@pytest.mark.parametrize(
    ("script", "source"),
    [("create_yolo_tfrecord.py", yolo), ("create_csv_tfrecord.py", csv_boxes)],
)
def test_records_are_the_same(tmp_path, script, source):
    unsplit(tmp_path / "data")
    options = ConvertOptions(val_fraction=0.4, seed=3, num_shards=2, num_workers=1)
    source.find(str(tmp_path / "data")).convert(str(tmp_path / "one"), options)
    done = dataset_program(
        script, "--data_dir=data", "--output_dir=two", "--val_fraction=0.4", "--split_seed=3",
        "--num_shards=2", "--num_threads=1", folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "3 images, 3 boxes, 1 classes -> 2 shards two/train-" in done.stdout
    assert "held out 2 of 5 photos for validation" in done.stdout
    found = sorted(os.listdir(tmp_path / "one"))
    assert found == sorted(os.listdir(tmp_path / "two")) and len(found) == 7
    for name in found:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_share_of_data_that_is_split(tmp_path):
    for part in ("train", "val"):
        labelled(tmp_path, f"{part}/a")
        text(tmp_path / f"{part}.csv", f"images/{part}/a.png,10,4,30,14,ant\n")
    for source in (yolo, csv_boxes):
        with pytest.raises(UserError, match="names them already"):
            source.convert(str(tmp_path), str(tmp_path / "out"), val_fraction=0.4)


def test_photos_without_labels(tmp_path):
    unsplit(tmp_path)
    photo(tmp_path / "images/new.png")
    for source in (yolo, csv_boxes):
        counts = [
            source.convert(
                str(tmp_path), str(tmp_path / "out"), background=background, num_workers=1
            )[0].num_images
            for background in (False, True)
        ]
        assert counts == [5, 6]
