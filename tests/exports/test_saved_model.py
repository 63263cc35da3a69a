import io
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.exports.saved_model import (
    export_network,
    export_saved_model,
    load_saved_model,
    replaced_directory,
)
from efficientvision.loading import serving_metadata
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.postprocess import postprocess
from efficientvision.tasks.metadata import metadata_from_json
from tests.filled_detector import textured_photo
from tests.small_networks import DETECTOR_HW, OBJECT_NAMES, small_detector


def step_by_step(photo):
    """The same detections without anything of exports/: [n, 6] boxes, scores, classes."""
    loaded = small_detector()
    height, width = photo.shape[:2]
    scale = min(DETECTOR_HW[0] / height, DETECTOR_HW[1] / width)
    small = tf.image.resize(photo, (int(height * scale), int(width * scale))).numpy()
    config = loaded.config
    canvas = np.zeros((1, *DETECTOR_HW, 3), np.float32)
    canvas[0, : small.shape[0], : small.shape[1]] = (small - config.mean_rgb) / config.stddev_rgb
    class_outputs, box_outputs = loaded.model(canvas, training=False)
    found = postprocess(
        class_outputs,
        box_outputs,
        np.array([1 / scale], np.float32),
        anchors=generate_anchors(**config.anchor_options),
        image_hw=DETECTOR_HW,
        num_classes=3,
        nms=config.nms_configs,
    )
    count = int(found.valid_len[0])
    columns = [found.boxes_yxyx[0], found.scores[0][:, None], found.classes[0][:, None]]
    return np.concatenate([np.asarray(c, np.float32) for c in columns], axis=1)[:count]


def assert_same(rows, expected, photo):
    found = rows[rows[:, 5] > 0]
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found[:, 1:5], expected[:, :4], atol=1e-3 * max(photo.shape))
    np.testing.assert_allclose(found[:, 5], expected[:, 4], atol=1e-4)
    np.testing.assert_array_equal(found[:, 6], expected[:, 5])


def png(photo):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    return file.getvalue()


def test_files_of_an_export(exported):
    names = {path.name for path in exported.iterdir()}
    assert {"saved_model.pb", "variables", "efficientdet-d0_frozen.pb", "metadata.json"} <= names
    assert not list(exported.parent.glob(f".{exported.name}*"))  # The unfinished folder.


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


def test_signatures_are_the_published_ones(loaded):
    signatures = loaded.signatures
    assert set(signatures) == {"serving_default", "serving_base64"}
    arrays = signatures["serving_default"]
    (spec,) = arrays.structured_input_signature[1].values()
    assert spec.name == "image_arrays" and spec.dtype == tf.uint8
    assert spec.shape.as_list() == [1, None, None, 3]
    assert list(arrays.structured_outputs) == ["detections"]
    assert arrays.structured_outputs["detections"].shape.as_list() == [1, 100, 7]
    (spec,) = signatures["serving_base64"].structured_input_signature[1].values()
    assert spec.name == "image_files" and spec.dtype == tf.string


def test_every_entrance_equals_the_steps_one_by_one(loaded, exported):
    graph = read_frozen_graph(exported / "efficientdet-d0_frozen.pb")
    frozen_arrays = graph_function(graph, ["image_arrays:0"], ["detections:0"])
    frozen_files = graph_function(graph, ["image_files:0"], ["detections:0"])
    signatures = loaded.signatures
    for hw in ((100, 180), (300, 220)):
        photo = textured_photo(*hw)
        arrays, files = photo[None], np.array([png(photo)])
        for rows in (
            signatures["serving_default"](image_arrays=tf.constant(arrays))["detections"],
            signatures["serving_base64"](image_files=tf.constant(files))["detections"],
            *frozen_arrays(arrays),
            *frozen_files(files),
        ):
            assert_same(rows.numpy()[0], step_by_step(photo), photo)


def test_the_frozen_graph_has_one_placeholder_and_no_variables(exported):
    graph = read_frozen_graph(exported / "efficientdet-d0_frozen.pb")
    operations = {node.name: node.op for node in graph.node}
    assert [n for n, op in operations.items() if op == "Placeholder"] == ["image_files"]
    assert not [op for op in operations.values() if "Variable" in op or op == "VarHandleOp"]
    assert {"image_arrays", "detections"} <= set(operations)


def test_metadata_travels_with_both_files(exported):
    metadata = metadata_from_json((exported / "metadata.json").read_text(), "here")
    assert metadata == serving_metadata(small_detector(), batch_size=1)
    assert metadata.class_names == OBJECT_NAMES and metadata.image_hw == DETECTOR_HW
    assert metadata.nms["method"] == "hard" and metadata.nms["score_thresh"] == 0.6
    graph = read_frozen_graph(exported / "efficientdet-d0_frozen.pb")
    assert metadata_from_json(read_metadata(graph), "there") == metadata


def test_a_dynamic_batch_numbers_its_images(serving, tmp_path):
    metadata = serving_metadata(small_detector(), batch_size=None)
    folder = export_saved_model(serving, tmp_path / "dynamic", metadata)
    loaded = tf.saved_model.load(str(folder))
    photos = [textured_photo(90, 120, seed) for seed in range(3)]
    arrays = loaded.signatures["serving_default"](image_arrays=tf.constant(np.stack(photos)))
    rows = arrays["detections"].numpy()
    assert rows.shape == (3, 100, 7)
    np.testing.assert_array_equal(rows[:, :, 0], [[0] * 100, [1] * 100, [2] * 100])
    # Encoded photos need not have one size.
    mixed = [photos[0], textured_photo(200, 60, 7)]
    files = loaded.signatures["serving_base64"](image_files=tf.constant([png(p) for p in mixed]))
    for photo, found in zip(mixed, files["detections"].numpy(), strict=True):
        assert_same(found, step_by_step(photo), photo)


def test_network_alone(serving, tmp_path):
    frozen, saved = export_network(serving, tmp_path / "logs", "efficientdet-d0")
    images = np.random.default_rng(0).normal(size=(1, *DETECTOR_HW, 3)).astype(np.float32)
    expected = small_detector().model(images, training=False)
    for part, outputs in zip(("class", "box"), expected, strict=True):
        names = [f"{part}_net/{part}-predict{s}/BiasAdd:0" for s in ("", "_1", "_2")]
        got = graph_function(read_frozen_graph(frozen), ["input:0"], names)(images)
        signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
        for level, (tensor, output) in enumerate(zip(got, outputs, strict=True)):
            scale = np.abs(output).max()
            np.testing.assert_allclose(tensor / scale, output / scale, atol=1e-5)
            assert f"{part}_predict_{level}" in signature.structured_outputs


def test_an_earlier_export_is_replaced_and_other_folders_are_not(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "saved_model.pb").write_text("old")
    (earlier / "efficientdet-d7_frozen.pb").write_text("old")
    with replaced_directory(earlier) as temporary:
        (temporary / "new").write_text("new")
    assert [path.name for path in earlier.iterdir()] == ["new"]

    diary = tmp_path / "diary"
    diary.mkdir()
    (diary / "monday.txt").write_text("rain")
    with pytest.raises(UserError, match="monday.txt"):
        with replaced_directory(diary):
            pass
    assert (diary / "monday.txt").read_text() == "rain"
    with pytest.raises(UserError, match="is a file"):
        with replaced_directory(diary / "monday.txt"):
            pass


def test_a_failed_export_leaves_the_earlier_one(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "saved_model.pb").write_text("old")
    with pytest.raises(ZeroDivisionError), replaced_directory(earlier) as temporary:
        (temporary / "saved_model.pb").write_text("half")
        raise ZeroDivisionError
    assert (earlier / "saved_model.pb").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_an_export_may_be_in_a_store(exported, tmp_path):
    """Written to the place of an earlier one, and read from there; `ram://` stands for `gs://`."""
    store = f"ram://{tmp_path.name}/exported"
    files.write_text(f"{store}/saved_model.pb", "old")
    with replaced_directory(store) as temporary:
        shutil.copytree(exported, temporary, dirs_exist_ok=True)
    assert files.list_names(store) == sorted(path.name for path in exported.iterdir())
    photo = textured_photo(100, 180)
    run, metadata = load_saved_model(store)
    assert metadata == load_saved_model(exported)[1]
    assert_same(run(photo[None])[0], step_by_step(photo), photo)
    graph = read_frozen_graph(f"{store}/efficientdet-d0_frozen.pb")
    (rows,) = graph_function(graph, ["image_arrays:0"], ["detections:0"])(photo[None])
    assert_same(rows.numpy()[0], step_by_step(photo), photo)
    files.write_text(f"{store}/diary.txt", "rain")
    with pytest.raises(UserError, match="diary.txt"), replaced_directory(store):
        pytest.fail("not reached")
    files.remove_folder(f"ram://{tmp_path.name}")


def test_files_that_cannot_be_loaded_are_named(exported, tmp_path):
    with pytest.raises(UserError, match="contains no SavedModel"):
        load_saved_model(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes((exported / "saved_model.pb").read_bytes()[:1000])
    with pytest.raises(UserError, match="cut short"):
        load_saved_model(broken)
    (broken / "saved_model.pb").write_bytes((exported / "saved_model.pb").read_bytes())
    with pytest.raises(UserError, match="cut short"):
        load_saved_model(broken)


def test_a_saved_model_of_another_kind_is_refused(tmp_path):
    module = tf.Module()
    function = tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec((2,), tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=function)
    with pytest.raises(
        UserError, match="not from this library: its serving_default must take one uint8 batch"
    ):
        load_saved_model(tmp_path / "other")
