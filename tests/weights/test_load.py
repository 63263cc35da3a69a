import re

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.load import load_weights
from efficientvision.weights.names import EMA_SUFFIX, part_of, published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill
from tests.weights.conftest import assert_filled, build_classifier, member_shapes, values_of


def write_filled(folder, shapes):
    """Writes a TF1 checkpoint of these names and shapes, filled by the reference rule."""
    arrays = {name: fill(name, shape) for name, shape in shapes.items()}
    return write_tf1_checkpoint(folder / "model", arrays)


def test_every_variable_of_a_tf1_checkpoint_is_loaded(blank_d0, d0_checkpoint, capsys):
    report = load_weights(blank_d0, d0_checkpoint)
    assert_filled(blank_d0)
    assert len(report.loaded) == 709
    assert not report.missing and not report.skipped and not report.unused
    assert report.auxiliary == 2
    assert report.counts()["backbone"]["loaded"] == 304
    printed = capsys.readouterr().out
    assert re.search(r"backbone +304 +0 +0 +0", printed)
    assert "2 other entries" in printed


def test_averages_are_preferred_and_can_be_switched_off(blank_d0, d0_arrays, tmp_path):
    averages = {name + EMA_SUFFIX: 2 * value for name, value in d0_arrays.items()}
    prefix = write_tf1_checkpoint(tmp_path / "model", {**d0_arrays, **averages})
    report = load_weights(blank_d0, prefix, verbose=False)
    assert report.num_averaged == 709
    assert_filled(blank_d0, scale=2)
    report = load_weights(blank_d0, prefix, use_ema=False, verbose=False)
    assert report.num_averaged == 0
    assert_filled(blank_d0)


def test_raw_value_stands_in_where_there_is_no_average(blank_d0, d0_arrays, tmp_path):
    averages = {
        name + EMA_SUFFIX: 2 * value for name, value in d0_arrays.items() if "/moving_" not in name
    }
    prefix = write_tf1_checkpoint(tmp_path / "model", {**d0_arrays, **averages})
    load_weights(blank_d0, prefix, verbose=False)
    assert_filled(blank_d0, scale=2, only=lambda name: "/moving_" not in name)
    assert_filled(blank_d0, scale=1, only=lambda name: "/moving_" in name)


def test_only_the_class_head_may_differ(blank_d0, d0_shapes, tmp_path):
    """The checkpoint is of 20 classes, the network of 90."""
    bias, kernel = "class_net/class-predict/bias", "class_net/class-predict/pointwise_kernel"
    shapes = {**d0_shapes, bias: (180,), kernel: (1, 1, 64, 180)}
    prefix = write_filled(tmp_path, shapes)
    report = load_weights(blank_d0, prefix, verbose=False)
    assert report.skipped == {
        bias: ((810,), (180,)),
        kernel: ((1, 1, 64, 810), (1, 1, 64, 180)),
    }
    assert_filled(blank_d0, only=lambda name: name not in report.skipped)
    after = values_of(blank_d0)
    assert not any(np.any(after[name]) for name in report.skipped)
    with pytest.raises(UserError, match="class-predict"):
        load_weights(blank_d0, prefix, allow_class_head_mismatch=False, verbose=False)


def test_the_error_says_which_model_the_checkpoint_is_of(d0, tmp_path):
    before = values_of(d0)
    with pytest.raises(UserError, match="looks like efficientdet-d1") as caught:
        load_weights(d0, write_filled(tmp_path, member_shapes("d1")), verbose=False)
    assert "efficientdet-d0" in str(caught.value)
    assert "fpn_num_filters: checkpoint 88, model 64" in str(caught.value)
    after = values_of(d0)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_another_fusion_is_an_error_that_names_both(d0, tmp_path):
    prefix = write_filled(tmp_path, member_shapes("vfpn"))
    with pytest.raises(UserError, match="fpn_name: checkpoint vfpn, model bifpn"):
        load_weights(d0, prefix, verbose=False)


def test_missing_fusion_weights_are_an_error(d0, d0_arrays, tmp_path):
    summed = {name: value for name, value in d0_arrays.items() if "/WSM" not in name}
    prefix = write_tf1_checkpoint(tmp_path / "model", summed)
    with pytest.raises(UserError, match="fpn_weight_method: checkpoint sum, model fastattn"):
        load_weights(d0, prefix, verbose=False)


def test_fusion_weights_that_the_model_lacks_are_an_error(d0, d0_arrays, tmp_path):
    more = {"fpn_cells/cell_3/fnode0/WSM": np.float32(1)}
    prefix = write_tf1_checkpoint(tmp_path / "model", {**d0_arrays, **more})
    with pytest.raises(UserError, match="lacks 1 of its variables.*cell_3/fnode0/WSM"):
        load_weights(d0, prefix, verbose=False)


def test_a_backbone_checkpoint_fills_the_backbone_only(blank_d0, tmp_path):
    classifier = build_classifier()
    arrays = {n: fill(n, v.shape) for n, v in published_variables(classifier).items()}
    assert "efficientnet-b0/head/dense/kernel" in arrays
    prefix = write_tf1_checkpoint(tmp_path / "model", arrays)
    report = load_weights(blank_d0, prefix, verbose=False)
    assert_filled(blank_d0, only=lambda name: part_of(name) == "backbone")
    assert len(report.loaded) == 304
    assert {part_of(name) for name in report.unused} == {"classifier_head"}
    assert not np.any(values_of(blank_d0)["box_net/box-0/bias"])
    load_weights(classifier, prefix, verbose=False)
    assert_filled(classifier)


def test_parts_and_exclude_restrict_what_is_loaded(blank_d0, d0_checkpoint):
    report = load_weights(blank_d0, d0_checkpoint, parts=["backbone"], verbose=False)
    assert {part_of(name) for name in report.loaded} == {"backbone"}
    report = load_weights(blank_d0, d0_checkpoint, exclude=".*/class-predict/.*", verbose=False)
    assert [n for n in report.excluded] == [n for n in report.excluded if "class-predict" in n]
    assert len(report.excluded) == 3
    report = load_weights(blank_d0, d0_checkpoint, exclude=["class_net"], verbose=False)
    assert not any(name.startswith("class_net") for name in report.loaded)


def test_a_scope_around_the_backbone_is_removed(blank_d0, d0_arrays, tmp_path):
    scoped = {
        name.replace("efficientnet-b0/", "tower/"): value
        for name, value in d0_arrays.items()
        if part_of(name) == "backbone"
    }
    prefix = write_tf1_checkpoint(tmp_path / "model", scoped)
    load_weights(blank_d0, prefix, scope="tower", verbose=False)
    assert_filled(blank_d0, only=lambda name: part_of(name) == "backbone")


def test_too_little_of_the_backbone_is_an_error(blank_d0, d0_arrays, tmp_path):
    few = {n: v for n, v in d0_arrays.items() if "/blocks_1" not in n}
    prefix = write_tf1_checkpoint(tmp_path / "model", few)
    with pytest.raises(UserError, match=r"only \d+% of the backbone"):
        load_weights(blank_d0, prefix, verbose=False)
    report = load_weights(blank_d0, prefix, min_backbone_match=0.3, verbose=False)
    assert report.backbone_match < 0.9
    assert all("/blocks_1" in name for name in report.missing)


def test_skip_mismatch_loads_what_fits(blank_d0, d0_shapes, tmp_path):
    """The checkpoint's fusion and heads have 88 channels, the network's 64."""
    wider = {
        name: shape
        if part_of(name) == "backbone"
        else tuple(88 if size == 64 else size for size in shape)
        for name, shape in d0_shapes.items()
    }
    prefix = write_filled(tmp_path, wider)
    with pytest.raises(UserError, match="another shape"):
        load_weights(blank_d0, prefix, verbose=False)
    report = load_weights(blank_d0, prefix, skip_mismatch=True, verbose=False)
    assert report.backbone_match == 1
    gamma = "fpn_cells/cell_0/fnode0/op_after_combine5/bn/gamma"
    assert report.skipped[gamma] == ((64,), (88,))
    assert_filled(blank_d0, only=lambda name: name in set(report.loaded))
    assert not np.any(values_of(blank_d0)[gamma])
