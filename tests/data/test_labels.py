"""Class names: built-in maps, files, and the sidecar beside the records."""

import json

import pytest

from efficientvision.data import labels
from efficientvision.errors import UserError


def test_builtin_maps():
    coco = labels.resolve_label_map("coco")
    assert len(coco) == 80
    assert set(range(1, 91)) - set(coco) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    # From COCO's own annotation files.
    spots = {1: "person", 13: "stop sign", 18: "dog", 44: "bottle", 62: "chair", 90: "toothbrush"}
    assert spots.items() <= coco.items()
    voc = labels.resolve_label_map("voc")
    assert list(voc) == list(range(1, 21)) and list(voc.values()) == sorted(voc.values())
    assert labels.resolve_label_map("waymo") == {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
    assert labels.resolve_label_map(None) is None


def test_files_and_dicts(tmp_path):
    expected = {1: "a", 2: "b"}
    (tmp_path / "ids.json").write_text('{"2": "b", "1": "a"}')
    (tmp_path / "names.json").write_text('{"background": 0, "a": 1, "b": 2}')
    (tmp_path / "ids.yaml").write_text("1: a\n2: b\n")
    for name in ("ids.json", "names.json", "ids.yaml"):
        assert labels.resolve_label_map(str(tmp_path / name)) == expected
    assert labels.resolve_label_map({"2": "b", 1: "a"}) == expected


@pytest.mark.parametrize("content", ["[1, 2]", '{"a": "b"}', '{"a": 1, "b": 1}', "{", '{"bg": 0}'])
def test_bad_files_are_named(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"bad\.json"):
        labels.read_labels(str(path))


def test_unknown_map():
    with pytest.raises(UserError, match="'cocoo'.*coco, voc, waymo"):
        labels.resolve_label_map("cocoo")
    with pytest.raises(UserError, match="none.json"):
        labels.resolve_label_map("none.json")


def test_sidecar(make_records):
    train, val = make_records(name="train"), make_records(name="val")
    prefix = train.removesuffix("-*")
    assert labels.find_labels(train) is None
    path = labels.write_labels(prefix, {2: "WBC", 1: "RBC"})
    assert path.endswith("/labels.json")
    assert json.load(open(path)) == {"1": "RBC", "2": "WBC"}
    for pattern in (train, val, f"{train},{val}"):
        assert labels.find_labels(pattern) == {1: "RBC", 2: "WBC"}
    # The same again changes nothing; something else gets a file of its own.
    assert labels.write_labels(val.removesuffix("-*"), {1: "RBC", 2: "WBC"}) == path
    own = labels.write_labels(val.removesuffix("-*"), {1: "car"})
    assert own.endswith("/labels_val.json")
    assert labels.find_labels(val) == {1: "car"}
    assert labels.find_labels(train) == {1: "RBC", 2: "WBC"}
    with pytest.raises(UserError, match="differently"):
        labels.find_labels(f"{train},{val}")
