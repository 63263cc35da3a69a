"""Several looks at each photo: a known box comes back from all of them, to the pixel."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.api import build_from_config
from efficientvision.data.boxes import encode
from efficientvision.data.records import DetectionExample, encode_example
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.decoder import EfficientDetDecoder
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.training_task import TESTDEV_NAME
from efficientvision.tasks.detection.tta import DetectionTTA, TTAOptions
from efficientvision.training.evaluator import Evaluator
from tests.filled_detector import filled_detector, textured_photo
from tests.made_records import made_record

# 128 pixels for a photo 171 wide and 117 high: it is fitted into 128x87, not 87.6.
PHOTO_HW = (117, 171)
SIGMA = (9.0, 14.0)
CENTERS = {4: (70.0, 60.0), 11: (44.0, 101.0)}
OPTIONS = {
    "num_classes": 2,
    "image_size": 128,
    "min_level": 3,
    "max_level": 3,
    "mean_rgb": 0.0,
    "stddev_rgb": 1.0,
}


def _photo(image_id):
    """A bright spot, uint8 [height, width]."""
    y, x = (
        ((np.arange(side) + 0.5 - center) / sigma) ** 2
        for side, center, sigma in zip(PHOTO_HW, CENTERS[image_id], SIGMA, strict=True)
    )
    return np.round(255 * np.exp(-(y[:, None] + x[None]) / 2)).astype(np.uint8)


def _box_xywh(image_id):
    """Two standard deviations of the photo's light to each side of its centre."""
    light = _photo(image_id) / _photo(image_id).sum(dtype=np.float64)
    low_high = []
    for axis, side in enumerate(PHOTO_HW):
        profile, place = light.sum(axis=1 - axis), np.arange(side) + 0.5
        center = (profile * place).sum()
        spread = np.sqrt((profile * (place - center) ** 2).sum())
        low_high.append((center - 2 * spread, center + 2 * spread))
    (ymin, ymax), (xmin, xmax) = low_high
    return [xmin, ymin, xmax - xmin, ymax - ymin]


@pytest.fixture
def records(tmp_path):
    """Each photo has one bright spot, whose place a network can know to a hundredth of a pixel."""
    path = tmp_path / "spots.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image_id in CENTERS:
            encoded = io.BytesIO()
            Image.fromarray(np.stack([_photo(image_id)] * 3, axis=-1)).save(encoded, "PNG")
            example = DetectionExample(
                encoded=encoded.getvalue(), image_format="png", filename=f"{image_id}.png",
                source_id=str(image_id), height=PHOTO_HW[0], width=PHOTO_HW[1],
                boxes_yxyx=np.zeros((0, 4)), classes=[], class_names=[], areas=[],
            )  # fmt: skip
            writer.write(encode_example(example))
    return str(path)


class SpotFinder(keras.layers.Layer):
    """Heads' outputs that say: class 2, with sides of `reach` standard deviations, at the spot."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.anchors = generate_anchors(**config.anchor_options)
        self.cells = [side // 8 for side in config.image_hw]
        self.reach = self.add_weight(shape=(), initializer="ones", name="reach")

    def call(self, images):
        light = images[..., 0] / tf.reduce_sum(images[..., 0], axis=(1, 2), keepdims=True)
        sides = []
        for axis in (1, 2):
            profile = tf.reduce_sum(light, axis=3 - axis)
            place = tf.range(images.shape[axis], dtype=tf.float32) + 0.5
            center = tf.reduce_sum(profile * place, axis=1)
            spread = tf.sqrt(tf.reduce_sum(profile * place**2, axis=1) - center**2)
            sides.append((center - self.reach / 2 * spread, center + self.reach / 2 * spread))
        (ymin, ymax), (xmin, xmax) = sides
        box = tf.stack([ymin, xmin, ymax, xmax], axis=-1)
        rest = tf.zeros([tf.shape(box)[0], len(self.anchors) - 1, 4])
        box_deltas = tf.concat([encode(box, self.anchors[0])[:, None], rest], axis=1)
        logits = tf.concat(
            [tf.fill(tf.shape(box_deltas[:, :1, :2]), 3.0), rest[..., :2] - 9], axis=1
        )
        logits -= [4.0, 0.0]
        shape = [-1, *self.cells, 9 * 4]
        return tf.reshape(logits, [*shape[:3], 9 * 2]), tf.reshape(box_deltas, shape)


def _spot_network(config):
    images = keras.Input((*config.image_hw, 3))
    classes, boxes = SpotFinder(config, name="spots")(images)
    return keras.Model(images, ([classes], [boxes]), name="finder")


@pytest.mark.parametrize(
    ("flip", "scales", "merge"),
    [
        (False, (1,), "wbf"),
        (True, (1,), "nms"),
        (False, (0.75, 1.5), "wbf"),
        (True, (1, 1.25), "wbf"),
        (True, (1, 1.25), "nms"),
    ],
)
def test_a_box_survives_from_record_to_json(records, tmp_path, flip, scales, merge):
    config = get_config("efficientdet-d0", OPTIONS)
    tta = DetectionTTA(
        config, EfficientDetDecoder(config), TTAOptions(flip, scales, merge), _spot_network
    )
    task = EfficientDetTrainingTask(
        config, evaluation_files=records, testdev_dir=str(tmp_path / "out"), tta=tta
    )
    model = _spot_network(config)
    # What the networks of other sizes begin with is 1: they must take this one's weights.
    model.get_layer("spots").reach.assign(4.0)
    evaluator = Evaluator(task, model, tf.distribute.get_strategy(), batch_size=2)
    _, report, _ = evaluator.evaluate()
    assert TESTDEV_NAME in report
    rows = json.loads((tmp_path / "out" / TESTDEV_NAME).read_text())
    for image_id in CENTERS:
        best = max((r for r in rows if r["image_id"] == image_id), key=lambda row: row["score"])
        assert best["category_id"] == 2
        np.testing.assert_allclose(best["bbox"], _box_xywh(image_id), atol=0.1)
        assert best["score"] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)


def test_another_size_computes_what_a_network_of_that_size_does():
    small = filled_detector()
    config = small.config
    built = []

    def build(config):
        built.append(build_from_config(config))
        return built[-1]

    tta = DetectionTTA(config, EfficientDetDecoder(config), TTAOptions(scales=(1.5,)), build)
    (view,) = tta.views
    assert view.image_hw == (256, 256) and view.fit_hw == (192, 192)
    assert tta.inputs == ("images_1", "valid_hw_1", "original_hw")
    photo = textured_photo(256, 256)[None].astype(np.float32)
    batch = {
        "images_1": photo,
        "valid_hw_1": np.array([[256, 256]], np.int32),
        "original_hw": np.array([[512, 256]], np.int32),
    }
    outputs = tta.outputs(small.model, batch)
    # The views' own network; had they not given it the small one's weights, this would show it.
    (large,) = built
    for variable in large.weights:
        variable.assign({v.path: v for v in small.model.weights}[variable.path])
    mean, stddev = (np.array(v, np.float32) for v in (config.mean_rgb, config.stddev_rgb))
    expected = [level for head in large((photo - mean) / stddev) for level in head]
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    found = tta.decode(outputs, batch)
    assert int(found["valid_len"][0]) > 0 and found["boxes_yxyx"].shape == (1, 100, 4)


def test_max_nms_inputs_and_method_are_those_of_the_evaluation():
    detector = filled_detector()
    config = detector.config
    photo = textured_photo(128, 128)[None].astype(np.float32)
    batch = {
        "images": photo,
        "valid_hw": np.array([[128, 128]], np.int32),
        "original_hw": np.array([[128, 128]], np.int32),
    }
    outputs = EfficientDetTrainingTask(config).outputs(detector.model, batch)

    def detections(**nms):
        changed = get_config(config.name, config.as_dict(), {"nms_configs": nms})
        return EfficientDetTrainingTask(changed).decode(outputs, batch)

    assert int(detections(max_nms_inputs=3)["valid_len"][0]) <= 3
    default = detections(score_thresh=0.0)
    same = detections(score_thresh=0.0, max_nms_inputs=5000)
    np.testing.assert_array_equal(default["boxes_yxyx"], same["boxes_yxyx"])
    soft = detections(score_thresh=0.0, method="gaussian")
    assert not np.allclose(soft["scores"], default["scores"])
    # Pairs of a place and a class, not each place's best class alone.
    levels = len(outputs) // 2
    outputs[:levels] = [np.full(x.shape, -9.0, np.float32) for x in outputs[:levels]]
    outputs[0][0, 0, 0, :2] = 3.0
    assert int(detections(score_thresh=0.5)["valid_len"][0]) == 2


def test_names_are_no_ids_for_the_test_server(tmp_path):
    path = str(tmp_path / "named.tfrecord")
    example = tf.train.Example.FromString(made_record(0))
    example.features.feature["image/source_id"].bytes_list.value[:] = [b"cat_01"]
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(example.SerializeToString())
    config = get_config("efficientdet-d0", OPTIONS)
    task = EfficientDetTrainingTask(config, evaluation_files=path, testdev_dir=str(tmp_path))
    with pytest.raises(UserError, match="by number.*'cat_01'"):
        task.new_evaluation()


@pytest.mark.parametrize(
    ("options", "fault"),
    [({"merge": "mean"}, "'mean'.*wbf or nms"), ({"iou_thresh": 0.0}, r"in \(0, 1\]")],
)
def test_bad_options(options, fault):
    with pytest.raises(UserError, match=fault):
        TTAOptions(**options)
