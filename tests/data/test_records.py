"""The record schema: round trips, the original's keys, optional fields."""

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data import records
from efficientvision.errors import UserError

# As written by the original's converters.
COMMON = {
    "image/height", "image/width", "image/filename", "image/source_id", "image/key/sha256",
    "image/encoded", "image/format", "image/object/bbox/xmin", "image/object/bbox/xmax",
    "image/object/bbox/ymin", "image/object/bbox/ymax", "image/object/class/text",
    "image/object/class/label", "image/object/area",
}  # fmt: skip
COCO = {"image/object/is_crowd", "image/object/mask", "image/caption"}
PASCAL = {"image/object/difficult", "image/object/truncated", "image/object/view"}


@pytest.fixture
def png(encode_image):
    return encode_image(np.zeros((20, 40, 3), np.uint8))


def example(png, **more):
    return records.DetectionExample(
        png, "png", "a.png", "16777217", 20, 40,
        boxes_yxyx=np.array([[1.0, 2, 11, 22], [0, 0, 20, 40]]), classes=[3, 90],
        class_names=["x", "y"], areas=[200.0, 750.5], **more,
    )  # fmt: skip


def keys(serialized):
    return set(tf.train.Example.FromString(serialized).features.feature)


def test_keys_are_the_originals(png):
    assert keys(records.encode_example(example(png))) == COMMON
    coco = example(png, is_crowd=[0, 1], masks=[b"m", b"n"], captions=["c"])
    assert keys(records.encode_example(coco)) == COMMON | COCO
    pascal = example(png, difficult=[0, 1], truncated=[1, 0], views=["Left", ""])
    assert keys(records.encode_example(pascal)) == COMMON | PASCAL
    empty = records.DetectionExample(png, "png", "a.png", "1", 20, 40)
    assert keys(records.encode_example(empty)) == {k for k in COMMON if "object" not in k}


def test_round_trip_in_the_graph(png):
    serialized = records.encode_example(example(png, is_crowd=[0, 1], masks=[b"m", b"n"]))
    parsed = records.parse_example(tf.constant(serialized))
    assert parsed["encoded"].numpy() == png
    assert parsed["source_id"].numpy() == b"16777217"  # 2^24 + 1 is no float32
    np.testing.assert_allclose(
        parsed["boxes_normalized_yxyx"], [[0.05, 0.05, 0.55, 0.55], [0, 0, 1, 1]], atol=1e-7
    )
    assert parsed["classes"].numpy().tolist() == [3, 90]
    assert parsed["area"].numpy().tolist() == [200.0, 750.5]
    assert parsed["is_crowd"].numpy().tolist() == [False, True]


def test_absent_fields(png):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
    bare = tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature}))
    parsed = records.parse_example(tf.constant(bare.SerializeToString()))
    assert parsed["source_id"].numpy() == b""
    assert parsed["boxes_normalized_yxyx"].shape == (0, 4)
    assert all(parsed[key].shape == (0,) for key in ("classes", "area", "is_crowd"))

    message = tf.train.Example.FromString(records.encode_example(example(png)))
    del message.features.feature["image/object/area"]
    parsed = records.parse_example(tf.constant(message.SerializeToString()))
    np.testing.assert_allclose(parsed["area"], [0.25, 1.0], rtol=1e-6)  # the original's fallback
    assert parsed["is_crowd"].numpy().tolist() == [False, False]


def test_round_trip_in_python(png):
    original = example(
        png, difficult=[0, 1], truncated=[1, 0], views=["Left", "Right"], masks=[b"m", b"n"]
    )
    decoded = records.decode_example(records.encode_example(original))
    np.testing.assert_allclose(decoded.boxes_yxyx, original.boxes_yxyx, atol=1e-5)
    for name in ("encoded", "filename", "source_id", "height", "width", "classes", "class_names",
                 "areas", "is_crowd", "masks", "difficult", "truncated", "views"):  # fmt: skip
        assert getattr(decoded, name) == getattr(original, name), name


def test_damaged_records_are_named(png):
    with pytest.raises(UserError, match=r"not a tf\.train\.Example"):
        records.decode_example(b"\xff\xff\xff")
    message = tf.train.Example.FromString(records.encode_example(example(png)))
    message.features.feature["image/object/class/label"].int64_list.value.append(1)
    with pytest.raises(UserError, match=r"'16777217' \(a\.png\) has 3 classes"):
        records.decode_example(message.SerializeToString())
