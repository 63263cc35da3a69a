"""Names that are not UTF-8, or of several lines: what records and label maps have of them."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data import image_folders
from efficientvision.data.labels import read_labels, write_labels
from efficientvision.data.masks import folders, mask_files, pairs
from efficientvision.data.names import ESCAPED, class_name, printable
from efficientvision.errors import UserError

LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("name", "says"), [(LATIN, "caf\\xe9"), ("a\ud800b", "a\\ud800b"), ("背景", "背景")]
)
def test_what_is_no_utf8_is_escaped(name, says):
    assert printable(name) == says


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", " a\u2028b\n", "a\tb"])
def test_names_of_classes_are_one_line(name):
    assert class_name(name) == "a b"


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")


def text_of(serialized, key):
    return tf.train.Example.FromString(serialized).features.feature[key].bytes_list.value[0]


def test_photos_and_classes_of_such_names(tmp_path):
    photo = np.full((4, 5, 3), 90, np.uint8)
    save(tmp_path / "dog" / "0.png", photo)
    save(tmp_path / LATIN / f"{LATIN}.png", photo)
    parts = image_folders.find_images(str(tmp_path)).parts
    labels = image_folders.class_map(parts)
    assert labels == {1: "caf\\xe9", 2: "dog"}
    assert read_labels(write_labels(str(tmp_path / "out" / "train"), labels)) == labels
    ids = {name: i for i, name in labels.items()}
    odd, plain = (image_folders.build_record(image, ids) for image in parts["train"])
    assert text_of(odd.serialized, "image/source_id") == b"caf\\xe9/caf\\xe9.png"
    assert text_of(odd.serialized, "image/filename") == b"caf\\xe9.png"
    assert ESCAPED in odd.notes and ESCAPED not in plain.notes


def test_pairs_of_such_names(tmp_path):
    save(tmp_path / "i" / f"{LATIN}.png", np.full((4, 5, 3), 90, np.uint8))
    save(tmp_path / "m" / f"{LATIN}.png", np.zeros((4, 5), np.uint8))
    (pair,) = folders.find_pairs(str(tmp_path / "i"), str(tmp_path / "m")).parts["train"]
    reader = mask_files.MaskFiles(None, mask_files.label_table(()))
    assert text_of(pairs.encode_pair(pair, reader), "image/source_id") == b"caf\\xe9"
    assert pairs.load_pair(pair, reader).notes[ESCAPED] == 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("m.json", '{"cat": 1, "cat": 2, "dog": 3}', " is not valid: 'cat' occurs twice"),
        ("m.yaml", "1: cat\n2: dog\n1: bird\n", ", line 3: duplicate key 1"),
    ],
)
def test_a_label_map_with_a_key_twice(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}{says}"):
        read_labels(str(tmp_path / name))


def test_label_maps_of_odd_names(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"1": "big\ncat"}))
    labels = read_labels(str(tmp_path / "m.json"))
    assert labels == {1: "big cat"}
    assert read_labels(write_labels(str(tmp_path / "train"), labels)) == labels
