"""Minimum scores by class: found by an evaluation, written, read, and changed by the user."""

import json

import numpy as np
import pytest

from efficientvision.configs.score_thresholds import parse_min_scores
from efficientvision.errors import UserError
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.object_matching import match_objects
from efficientvision.evaluation.precision_recall import ClassCurve, class_curves
from efficientvision.evaluation.thresholds import (
    LEAST_OBJECTS,
    ScoreThresholds,
    found_thresholds,
    read_thresholds,
    thresholds_text,
)
from tests.evaluation.made_detections import made_collection

NAMES = {1: "ant", 2: "bee", 3: "3"}


def curve(scores, right, objects):
    right = np.array(right, bool)
    return ClassCurve(objects, np.array(scores), right.cumsum(), (~right).cumsum())


def test_the_best_f1_of_a_class_by_hand():
    many = curve([0.9, 0.81239, 0.5, 0.4], [1, 1, 0, 0], LEAST_OBJECTS)
    few = curve([0.9], [1], LEAST_OBJECTS - 1)
    never = curve([0.9], [0], 50)
    found = found_thresholds({1: many, 2: few, 3: never})
    assert found.classes == {1: 0.8123} and found.rare == (2, 3)
    assert 0 < found.default <= 0.9


def test_no_other_threshold_has_a_better_f1():
    collected = made_collection(3, images=60)
    curves = class_curves(collected, match_objects(collected))
    for number, threshold in found_thresholds(curves).classes.items():
        one = curves[number]

        def f1(at, one=one):
            right, wrong = one.at(at)
            return 2 * right / (right + wrong + one.num_objects)

        assert f1(threshold) >= max(map(f1, np.arange(0, 1, 0.005))) - 1e-9


def test_written_and_read_again(tmp_path):
    found = ScoreThresholds(0.43, {1: 0.5}, "", (2,))
    rows = [{"id": 1, "class": "ant"}, {"id": 2, "class": "bee"}]
    text = thresholds_text(Details({"images": 7}, {"per_class": rows}, found), 300)
    (tmp_path / "thresholds.json").write_text(text)
    read = read_thresholds(tmp_path)
    assert (read.default, dict(read.classes), read.rare) == (0.43, {1: 0.5}, (2,))
    assert "step 300" in read.source and json.loads(text)["images"] == 7
    assert read.described(NAMES) == (
        f"ant 0.5, others 0.43 (best F1 at step 300, {tmp_path}/thresholds.json); "
        "too few objects found for a score of their own: bee"
    )
    assert read_thresholds(tmp_path / "nowhere") is None
    assert thresholds_text(Details({}, {}), 1) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"step": 1, "default": 2, "classes": []}', "[" * 100_000]
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "thresholds.json").write_text(text)
    with pytest.raises(UserError, match="thresholds.json is damaged"):
        read_thresholds(tmp_path)


@pytest.mark.parametrize(
    ("asked", "default", "classes"),
    [
        (None, 0.4, {1: 0.6}),
        (0.3, 0.3, {}),
        ("0.3", 0.3, {}),
        ("bee=0.2", 0.4, {1: 0.6, 2: 0.2}),
        ("0.3, bee=.2", 0.3, {2: 0.2}),
        ("2=0.2,0", 0, {2: 0.2}),
        ("3=0.2", 0.4, {1: 0.6, 3: 0.2}),  # A name, and a number too.
        ({"bee": 0.2, 1: 1}, 0.4, {1: 1, 2: 0.2}),
    ],
)
def test_what_the_user_asks_for(asked, default, classes):
    found = ScoreThresholds(0.4, {1: 0.6}).changed(asked, NAMES, 3)
    assert (found.default, dict(found.classes)) == (default, classes)
    expected = [classes.get(number, default) for number in (1, 2, 3)]
    np.testing.assert_allclose(found.of(np.array([1, 2, 3])), expected)
    assert found.least == min(default, *classes.values(), 1)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("5", "between 0 and 1"),
        ("-0.1", "between 0 and 1"),
        ("nan", "between 0 and 1"),
        (5, "between 0 and 1"),
        ("bee=1.5", "bee=1.5.*between 0 and 1"),
        ("bee", "'bee' must be a number"),
        ("bee=", "must be a number"),
        ("", "must be a number"),
        ("0.1,0.2", "all classes twice"),
        ("bee=0.1,bee=0.2", "bee twice"),
        ("bea=0.1", "no class 'bea'. Did you mean bee"),
        ({"wasp": 0.1}, "no class 'wasp'.*ant, bee"),
        ({9: 0.1}, "no class 9"),
    ],
)
def test_what_no_minimum_score_is(asked, complaint):
    with pytest.raises(UserError, match=complaint):
        ScoreThresholds(0.4).changed(asked, NAMES, 3)


def test_classes_without_names_go_by_their_numbers():
    assert ScoreThresholds(0.4).changed("2=0.1", {}, 3).classes == {2: 0.1}
    with pytest.raises(UserError, match="1 to 3"):
        ScoreThresholds(0.4).changed("4=0.1", {}, 3)
    assert parse_min_scores("0.3,a=0.1").least == 0.1


def test_many_classes_are_told_in_a_line():
    many = ScoreThresholds(0.4, {number: number / 100 for number in range(1, 30)}, "here")
    assert many.described({}) == "0.01 to 0.29 for 29 classes (here)"
    assert ScoreThresholds(0.4, source="the default").described({}) == "0.4 (the default)"
