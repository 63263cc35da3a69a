"""Records and ground truth are found in a data set's folder."""

import pytest

from efficientvision.data.data_folder import DataFolder, find_data
from efficientvision.errors import UserError


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_everything_in_one_folder(tmp_path):
    make(tmp_path, "train-00000-of-00001.tfrecord", "val-00000-of-00001.tfrecord")
    make(tmp_path, "json_train.json", "json_val.json", "labels.json")
    assert find_data(tmp_path) == DataFolder(
        f"{tmp_path}/train*.tfrecord", f"{tmp_path}/val*.tfrecord", f"{tmp_path}/json_val.json"
    )


def test_coco_as_the_instructions_lay_it_out(tmp_path):
    make(tmp_path, "train2017/1.jpg", "val2017/1.jpg", "annotations/instances_train2017.json")
    make(tmp_path, "annotations/instances_val2017.json", "annotations/captions_val2017.json")
    make(tmp_path, "tfrecord/train-00000-of-00256.tfrecord", "tfrecord/val-00000-of-00032.tfrecord")
    assert find_data(tmp_path) == DataFolder(
        f"{tmp_path}/tfrecord/train*.tfrecord",
        f"{tmp_path}/tfrecord/val*.tfrecord",
        f"{tmp_path}/annotations/instances_val2017.json",
    )


def test_json_beside_the_records(tmp_path):
    make(tmp_path, "tfrecord/val.tfrecord", "tfrecord/json_pascal_val.json")
    found = find_data(f"{tmp_path}/")
    assert found.training_records is None
    assert found.ground_truth_json == f"{tmp_path}/tfrecord/json_pascal_val.json"


def test_shards_without_an_ending(tmp_path):
    make(tmp_path, "train-00000-of-00256", "val-00000-of-00032")
    assert find_data(tmp_path) == DataFolder(
        f"{tmp_path}/train*-of-*", f"{tmp_path}/val*-of-*", None
    )


def test_what_cannot_be_found_is_told(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        find_data(tmp_path / "nowhere")
    make(tmp_path, "train/1.jpg")
    with pytest.raises(UserError, match=r"train\*.tfrecord or .*`val_file_pattern`"):
        find_data(tmp_path)


def test_two_ground_truths_are_a_question(tmp_path):
    make(tmp_path, "val.tfrecord", "instances_val2014.json", "annotations/instances_val2017.json")
    with pytest.raises(UserError, match="instances_val2017.json and .*`val_json_file`"):
        find_data(tmp_path)
