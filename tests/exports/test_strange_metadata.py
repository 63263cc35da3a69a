"""Metadata of a stranger's export: types, bounds, and the graph's own shape."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.exports.load_export import load_export
from efficientvision.tasks.metadata import check_portable, metadata_from_json
from tests.filled_detector import textured_photo
from tests.small_networks import DETECTOR_HW, SSD_HW, exported, portable_file

onnx = pytest.importorskip("onnx")
PHOTO = textured_photo(80, 100, 1)[np.newaxis].astype(np.uint8)


def facts_of(kind):
    return json.loads((exported(kind) / "metadata.json").read_text())


def portable_facts(model):
    (entry,) = (p for p in model.metadata_props if p.key == "efficientvision")
    return entry, json.loads(entry.value)


@pytest.fixture(scope="module")
def detector():
    return onnx.load(portable_file("detector", "onnx", nms="none"))


@pytest.fixture
def changed(tmp_path, detector):
    """Writes the detector with other facts."""
    entry, facts = portable_facts(detector)
    before = entry.value

    def write(**facts_instead):
        entry.value = json.dumps({**facts, **facts_instead})
        (tmp_path / "m.onnx").write_bytes(detector.SerializeToString())
        return tmp_path / "m.onnx"

    yield write
    entry.value = before


@pytest.mark.slow
def test_own_metadata_is_read_as_it_was_written():
    for kind in ("detector", "ssd", "classifier", "segmenter"):
        text = (exported(kind) / "metadata.json").read_text()
        metadata = metadata_from_json(text, "here")
        assert json.loads(metadata.to_json()) == json.loads(text)
        assert isinstance(metadata.image_hw, tuple)


@pytest.mark.parametrize(
    "facts, says",
    [
        ({"nms": {}}, "nms lacks max_output_size"),
        ({"nms": None}, "nms is None, and must be a mapping"),
        ({"nms": {"max_output_size": -1}}, "nms.max_output_size is -1, and must be a whole"),
        ({"nms": {"iou_thresh": "x"}}, "iou_thresh is 'x'"),
        ({"anchors": {}}, "it lacks anchors"),
        ({"anchors": {"a": 1}}, "anchors must have image_hw, min_level"),
        ({"anchors": [1]}, "anchors is .1., and must be a mapping"),
        ({"preprocessing": {}}, "preprocessing lacks mean_rgb"),
        ({"preprocessing": {"mean_rgb": [1]}}, "mean_rgb is .1., and must be three numbers"),
        ({"image_hw": [96]}, r"image_hw is \[96\], and must be a height and a width"),
        ({"image_hw": ["a", "b"]}, "must be a height and a width"),
        ({"image_hw": [96.5, 128]}, "must be a height and a width"),
        ({"image_hw": [-96, 128]}, "must be a height and a width"),
        ({"image_hw": [1 << 20, 1 << 20]}, "must be a height and a width"),
        ({"batch_size": "x"}, "batch_size is 'x'"),
        ({"batch_size": 2}, r"states an input of \(2, 96, 128, 3\), and the model takes \(1, 96"),
        ({"min_score_thresh": None}, "min_score_thresh is None, and must be a number"),
        ({"class_names": {"1": 5}}, "class_names is .*, and must be a mapping of class numbers"),
        ({"family": "yolo"}, "family is 'yolo', and must be efficientdet or ssd"),
    ],
)
def test_facts_that_are_none(changed, facts, says):
    with pytest.raises(UserError, match=rf"the metadata of .*m\.onnx cannot be read \(.*{says}"):
        load_export(changed(**facts))


def test_an_input_of_another_size_than_the_graphs(changed, detector):
    anchors = portable_facts(detector)[1]["anchors"]
    other = changed(image_hw=[32, 32], anchors={**anchors, "image_hw": [32, 32]})
    with pytest.raises(UserError, match=r"input of \(1, 32, 32, 3\), and the model takes \(1, 96"):
        load_export(other)
    with pytest.raises(UserError, match=r"anchors are for an input of \[32, 32\]"):
        load_export(changed(anchors={**anchors, "image_hw": [32, 32]}))


@pytest.mark.parametrize(
    "anchors, says",
    [
        ({"num_scales": 10**8}, "num_scales is 100000000"),
        ({"max_level": 60}, "max_level is 60"),
        ({"min_level": 6}, "min_level of anchors must not be above max_level"),
        ({"aspect_ratios": []}, "aspect_ratios is"),
        ({"anchor_scale": [1.0, 2.0]}, "anchor_scale has 2 entries for 3 levels"),
        ({"min_level": 0, "num_scales": 100, "aspect_ratios": [1.0] * 100}, "at most 8,388,608"),
        ({"image_hw": [1 << 20, 1 << 20]}, "image_hw is"),
    ],
)
def test_anchors_are_bounded(changed, detector, anchors, says):
    known = portable_facts(detector)[1]["anchors"]
    with pytest.raises(UserError, match=says):
        load_export(changed(anchors={**known, **anchors}))


def test_another_number_of_anchors_than_the_graphs(changed, detector):
    anchors = portable_facts(detector)[1]["anchors"]
    run, _ = load_export(changed(anchors={**anchors, "num_scales": 2}))
    with pytest.raises(UserError, match=r"boxes of 2268 anchors, and its metadata describes 1512"):
        run(PHOTO)


def test_the_metadata_of_another_kind_of_network(tmp_path, detector):
    entry, _ = portable_facts(detector)
    before = entry.value
    facts = {**facts_of("classifier"), "image_hw": list(DETECTOR_HW)}
    entry.value = json.dumps(facts)
    (tmp_path / "m.onnx").write_bytes(detector.SerializeToString())
    entry.value = before
    run, _ = load_export(tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"gives codes, logits, .* of one that gives probabilities"):
        run(PHOTO)


@pytest.mark.parametrize("form", ["onnx", "openvino", "litert"])
def test_every_runtime_tells_the_shape_of_its_input(form):
    run, metadata = load_export(portable_file("classifier", form))
    assert run._network.input_shape == [1, *metadata.image_hw, 3]


def test_an_ssds_priors():
    (text,) = (
        p.value
        for p in onnx.load(portable_file("ssd", "onnx", nms="none")).metadata_props
        if p.key == "efficientvision"
    )
    metadata = metadata_from_json(text, "here")
    check_portable(metadata, [None, *SSD_HW, 3], "here")
    facts = json.loads(text)
    facts["anchors"]["max_scale"] = 0.1
    with pytest.raises(UserError, match="min_scale of anchors must be below max_scale"):
        metadata_from_json(json.dumps(facts), "here")
    without = dataclasses.replace(metadata, anchors={})
    with pytest.raises(UserError, match="lacks anchors"):
        check_portable(without, None, "here")


BAD = [None, 0, -1, 1.5, "x", "", [], {}, [1], {"a": 1}, True, 1e308, float("nan"), [[1]]]


@pytest.mark.parametrize("kind", ["detector", "ssd", "classifier", "segmenter"])
def test_whatever_a_fact_is_there_is_a_value_or_a_sentence(kind):
    facts = facts_of(kind)
    refused = 0
    for name in facts:
        for value in (*BAD, "9" * 4000):
            try:
                metadata_from_json(json.dumps({**facts, name: value}), "here")
            except UserError as error:
                refused += 1
                assert str(error).startswith("the metadata of here cannot be read (")
                assert len(str(error)) < 300
    assert refused > 8 * len(facts)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", "5", '{"format": []}', '{"format": 1}'])
def test_texts_that_are_no_facts(text):
    with pytest.raises(UserError, match="the metadata of here cannot be read"):
        metadata_from_json(text, "here")


def test_a_saved_model_of_another_batch_size(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported("classifier"), folder)
    facts = {**facts_of("classifier"), "batch_size": 4}
    (folder / "metadata.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="states a batch_size of 4, and the model takes 1"):
        load_export(folder)
    (frozen,) = folder.glob("*_frozen.pb")
    content = frozen.read_bytes()
    assert content.count(b'"batch_size": 1,') == 1
    frozen.write_bytes(content.replace(b'"batch_size": 1,', b'"batch_size": 4,'))
    with pytest.raises(UserError, match="states a batch_size of 4, and the model takes 1"):
        load_export(frozen)
    frozen.write_bytes(content)
    assert load_export(frozen)[1].batch_size == 1


@pytest.mark.parametrize("form", ["onnx", "openvino", "litert"])
def test_endings_in_capitals(tmp_path, form):
    made = portable_file("classifier", form)
    for part in made.parent.iterdir():
        shutil.copy(part, tmp_path / part.name.upper())
    run, _ = load_export(tmp_path / made.name.upper())
    expected, _ = load_export(made)
    np.testing.assert_array_equal(run(PHOTO), expected(PHOTO))
