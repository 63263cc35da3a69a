"""Folders and files whose names mean something to a glob, a list or Unicode."""

import os

import pytest

from efficientvision import files
from efficientvision.data.data_folder import find_data
from efficientvision.data.photos import list_photos
from efficientvision.data.record_files import match_files
from efficientvision.data.sources import class_folders
from efficientvision.errors import UserError

NAMES = ["set [v2]", "a, b", "what?", "new * set", "[x]{y},z"]


@pytest.fixture(params=NAMES)
def folder(request, tmp_path):
    """`NAME/tfrecord/` with two shards; beside it what a glob of that name would match."""
    for name in (request.param, "set v", "a", "whats", "x"):
        (tmp_path / name / "tfrecord").mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / request.param / "tfrecord" / f"{part}-0.tfrecord").write_bytes(b"")
    return tmp_path / request.param


def test_records_of_a_folder_with_an_odd_name(folder):
    for pattern in ("train*", "train-?.tfrecord", "[tu]rain*.tfrecord", "train-0.tfrecord"):
        found = match_files(f"{folder}/tfrecord/{pattern}")
        assert found == [f"{folder}/tfrecord/train-0.tfrecord"]


def test_several_patterns_of_such_a_folder(folder):
    both = match_files(f"{folder}/tfrecord/train*, {folder}/tfrecord/val*")
    assert [os.path.basename(path) for path in both] == ["train-0.tfrecord", "val-0.tfrecord"]
    assert match_files([f"{folder}/tfrecord/train*", f"{folder}/tfrecord/val*"]) == both


def test_what_data_dir_finds_there(folder):
    found = find_data(folder)
    assert match_files(found.training_records) == [f"{folder}/tfrecord/train-0.tfrecord"]
    assert match_files(found.evaluation_records) == [f"{folder}/tfrecord/val-0.tfrecord"]


def test_photos_of_a_folder_with_an_odd_name(folder):
    (folder / "a [1].jpg").write_bytes(b"")
    (folder / "b.jpg").write_bytes(b"")
    assert list_photos(f"{folder}/*.jpg") == [f"{folder}/a [1].jpg", f"{folder}/b.jpg"]
    assert list_photos(f"{folder}/a [1].jpg") == [f"{folder}/a [1].jpg"]


def test_patterns_still_match(tmp_path):
    for name in ("a1", "a2", "b1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x[0].txt").write_bytes(b"")
    wanted = [f"{tmp_path}/{name}/x[0].txt" for name in ("a1", "a2")]
    assert files.matches(f"{tmp_path}/a[12]/x*") == wanted
    assert files.matches(f"{tmp_path}/a?/*.txt") == wanted
    assert files.matches(f"{tmp_path}/a1/x[0].txt") == wanted[:1]
    assert files.matches(f"{tmp_path}/c*/x*") == []


def test_the_piece_of_a_pattern_that_matches_nothing_is_named(tmp_path):
    (tmp_path / "val-0.tfrecord").write_bytes(b"")
    with pytest.raises(UserError, match=r"matches '[^',]*/train\*' \(looked in"):
        match_files(f"{tmp_path}/train*,{tmp_path}/val*")


@pytest.mark.parametrize(
    ("photos", "is_split"),
    [
        (("Train/cat/0.JPG", "valid/cat/0.jpg"), True),
        (("training/cat/0.jpg",), False),
        (("cat/0.jfif", ".ipynb_checkpoints/0.jpg"), False),
    ],
)
def test_class_folders_are_recognised(tmp_path, photos, is_split):
    for photo in photos:
        path = tmp_path / "set [v2], a" / photo
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    layout = class_folders.find(str(tmp_path / "set [v2], a"))
    assert layout.is_split == is_split
    assert len(layout.inputs) == len([photo for photo in photos if photo[0] != "."])
