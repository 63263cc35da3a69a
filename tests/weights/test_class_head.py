"""Class heads of other label sets: what is carried over, and what starts afresh."""

import numpy as np
import pytest

from efficientvision.api import build_model
from efficientvision.errors import UserError
from efficientvision.training.checkpoints import Checkpoint, checkpoint_path, write_checkpoint
from efficientvision.weights.class_head import (
    HeadLayout,
    carry_columns,
    match_classes,
    shared_anchors,
)
from efficientvision.weights.load import load_weights
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill
from tests.weights.conftest import member_shapes, shallow, small_detector, values_of

BLOOD = {1: "Platelets", 2: "RBC", 3: "WBC"}
ANCHORS = 9
HEAD = ("class_net/class-predict/bias", "class_net/class-predict/pointwise_kernel")


@pytest.fixture(scope="module")
def blood_checkpoint(tmp_path_factory):
    """A checkpoint of three classes, filled by the reference rule."""
    values = {n: fill(n, v.shape) for n, v in values_of(small_detector(3)).items()}
    return write_tf1_checkpoint(tmp_path_factory.mktemp("blood") / "model", values), values


def columns(values, name, num_classes):
    """[..., A, K]: a class a column."""
    return values[name].reshape(*values[name].shape[:-1], ANCHORS, num_classes)


def test_a_background_goes_along():
    """Of an SSD: channels are the background, then the classes, anchor by anchor."""
    match = match_classes({1: "cat", 2: "new"}, {1: "dog", 2: "Cat"})
    theirs = np.array([10, 11, 12, 20, 21, 22])
    carried = carry_columns(np.arange(6), theirs, match, HeadLayout((), 2, has_background=True))
    assert carried.tolist() == [10, 12, 2, 20, 22, 5]


def test_names_match_whatever_their_case_and_spaces():
    ours = {1: " wbc", 2: "thrombocytes", 3: "RBC", 4: "traffic light", 5: "+"}
    theirs = {**BLOOD, 7: "Traffic_Light", 8: "-", 9: "+"}
    match = match_classes(ours, theirs)
    assert match.pairs == {1: 3, 3: 2, 4: 7, 5: 9}
    assert str(match) == (
        "class head: 4 of 5 classes matched by name:  wbc, RBC, traffic light, +; new: thrombocytes"
    )


def test_a_name_that_occurs_twice_matches_nothing():
    assert match_classes({1: "cell", 2: "Cell", 3: "dog"}, {1: "cell", 2: "dog"}).pairs == {3: 2}
    assert match_classes({1: "cell"}, {1: "cell", 2: "cell "}).pairs == {}
    assert str(match_classes({1: "a"}, {1: "b"})).endswith("0 of 1 classes matched by name; new: a")


def test_columns_go_by_anchor_and_class():
    # Channels of two anchors with two classes: a0c1, a0c2, a1c1, a1c2.
    theirs = np.array([[11.0, 12.0, 21.0, 22.0]])
    own = -np.arange(1.0, 7.0)[np.newaxis]
    match = match_classes({1: "x", 2: "second", 3: "first"}, {1: "first", 2: "second"})
    carried = carry_columns(own, theirs, match, HeadLayout((), num_anchors=2))
    assert carried.tolist() == [[-1.0, 12.0, 11.0, -4.0, 22.0, 21.0]]


def test_one_class_renamed_one_added_and_the_order_another(blood_checkpoint):
    prefix, theirs = blood_checkpoint
    ours = {1: "RBC", 2: "WBC", 3: "Thrombocytes", 4: "Blast"}
    model = small_detector(4)
    before = values_of(model)
    report = load_weights(model, prefix, classes=match_classes(ours, BLOOD), verbose=False)
    after = values_of(model)
    for name in HEAD:
        kept, source = columns(after, name, 4), columns(theirs, name, 3)
        np.testing.assert_array_equal(kept[..., 0], source[..., 1])
        np.testing.assert_array_equal(kept[..., 1], source[..., 2])
        np.testing.assert_array_equal(kept[..., 2:], columns(before, name, 4)[..., 2:])
    for name in set(after) - set(HEAD):
        np.testing.assert_array_equal(after[name], theirs[name], err_msg=name)
    assert report.skipped == {} and set(HEAD) <= set(report.loaded)
    assert "class head: 2 of 4 classes matched by name: RBC, WBC; new: Thrombocytes, Blast" in str(
        report
    )


def test_the_same_number_of_classes_is_still_matched_by_name(blood_checkpoint):
    prefix, theirs = blood_checkpoint
    model = small_detector(3)
    own = {name: np.float32(-7) + 0 * value for name, value in values_of(model).items()}
    for variable in model.weights:
        variable.assign(np.full(variable.shape, -7.0, np.float32))
    match = match_classes({1: "WBC", 2: "Dust", 3: "RBC"}, BLOOD)
    load_weights(model, prefix, classes=match, verbose=False)
    after = values_of(model)
    for name in HEAD:
        kept, source = columns(after, name, 3), columns(theirs, name, 3)
        np.testing.assert_array_equal(kept[..., 0], source[..., 2])
        np.testing.assert_array_equal(kept[..., 1], columns(own, name, 3)[..., 1])
        np.testing.assert_array_equal(kept[..., 2], source[..., 1])
    # Without names the head is taken as it stands.
    load_weights(model, prefix, verbose=False)
    np.testing.assert_array_equal(values_of(model)[HEAD[0]], theirs[HEAD[0]])


def test_no_class_in_common_leaves_the_head_as_it_is(blood_checkpoint):
    model = small_detector(4)
    before = values_of(model)
    match = match_classes(dict.fromkeys([1], "dog"), BLOOD)
    load_weights(model, blood_checkpoint[0], classes=match, verbose=False)
    for name in HEAD:
        np.testing.assert_array_equal(values_of(model)[name], before[name])


def test_a_head_that_may_not_differ_does_not(blood_checkpoint):
    match = match_classes({1: "RBC"}, BLOOD)
    with pytest.raises(UserError, match="class-predict"):
        load_weights(
            small_detector(4),
            blood_checkpoint[0],
            classes=match,
            allow_class_head_mismatch=False,
            verbose=False,
        )


def test_what_is_excluded_is_left_alone(blood_checkpoint):
    model = small_detector(4)
    before = values_of(model)
    match = match_classes({1: "RBC"}, BLOOD)
    report = load_weights(
        model, blood_checkpoint[0], classes=match, exclude="class-predict", verbose=False
    )
    assert report.class_match is None
    np.testing.assert_array_equal(values_of(model)[HEAD[0]], before[HEAD[0]])


def test_anchors_are_told_by_the_box_head():
    three, four = (
        {n: v.shape for n, v in values_of(small_detector(num_classes)).items()}
        for num_classes in (3, 4)
    )
    assert shared_anchors(three, four) == ANCHORS
    assert shared_anchors(three, member_shapes("levels_2_to_6")) is None
    assert shared_anchors(three, {}) is None


@pytest.mark.parametrize("name", ["shufflenetv2_s_0.1", "efficientnet-b0"])
def test_a_classifiers_classes_keep_their_columns(name, tmp_path):
    """Of three classes two come from the checkpoint, at other places; the third is new."""
    with shallow():
        model = build_model(name, num_classes=3, image_size=32)
    before = {v.path: v.numpy() for v in model.weights}
    head = [v.path for v in model.layers[-1].weights[-2:]]
    rng = np.random.default_rng(4)
    theirs = {
        path: rng.standard_normal((*v.shape[:-1], 2) if path in head else v.shape)
        for path, v in before.items()
    }
    path = checkpoint_path(tmp_path, 1)
    write_checkpoint(path, Checkpoint(theirs, ema={}, optimizer={}, step=1, meta={}))
    match = match_classes({1: "bee", 2: "cat", 3: "ant"}, {1: "ant", 2: "bee"})
    report = load_weights(model, path, classes=match, verbose=False)
    assert "2 of 3 classes matched by name" in str(report) and report.skipped == {}
    for variable in model.weights:
        found, source = variable.numpy(), np.float32(theirs[variable.path])
        if variable.path in head:
            np.testing.assert_array_equal(found[..., 0], source[..., 1])
            np.testing.assert_array_equal(found[..., 1], before[variable.path][..., 1])
            np.testing.assert_array_equal(found[..., 2], source[..., 0])
        else:
            np.testing.assert_array_equal(found, source, err_msg=variable.path)
