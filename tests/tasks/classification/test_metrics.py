"""Accuracies against EdgeNets' numbers and against counts made one by one."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.tasks.classification.metrics import (
    average_precision,
    label_curve,
    label_scores,
    ranks,
    topk_accuracy,
)

GOLDENS = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets"
GOLDEN = json.loads((GOLDENS / "classification.json").read_text())
ARRAYS = np.load(GOLDENS / "classification.npz")


def test_top_1_and_top_5_are_edgenets():
    found = ranks(ARRAYS["acc_logits"], ARRAYS["acc_target"])
    percent = [100 * topk_accuracy(found, k) for k in (1, 5)]
    assert percent == pytest.approx(GOLDEN["topk"]["top1,top5 (%)"])


def test_of_equal_logits_the_first_class_leads():
    """As argmax does: a network that says the same of all is right on the first class only."""
    assert ranks(np.zeros((3, 4)), np.array([0, 1, 3])).tolist() == [0, 1, 3]


def test_an_unknown_class_is_never_right():
    assert ranks(np.zeros((1, 4)), np.array([-1])).tolist() == [4]


def test_label_scores_are_edgenets():
    labels = ARRAYS["ml_target_n3c"].max(axis=1).astype(bool)
    found = label_scores(ARRAYS["ml_logits"] > 0, labels)
    means = [v.mean() for v in (found.precision, found.recall, found.f1)]
    overall = [found.overall_precision, found.overall_recall, found.overall_f1]
    line = GOLDEN["multilabel"]["summary_line"].split()
    expected = [float(line[i]) for i in range(2, len(line), 2)]
    assert [100 * v for v in (*means, *overall)] == pytest.approx(expected, abs=0.005)
    golden_f1 = GOLDEN["multilabel"]["validate_multi(batches of 4 and 2) F_O, loss_avg"][0]
    assert 100 * found.overall_f1 == pytest.approx(golden_f1, rel=1e-5)


def slow_average_precision(scores, labels):
    """Threshold after threshold, counting each time anew."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = scores >= threshold
        right = (said & labels).sum()
        recall = right / labels.sum()
        total += (recall - before) * right / said.sum()
        before = recall
    return total


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, 30) / 8  # Many are equal.
    labels = rng.random(30) < 0.4
    found = average_precision(label_curve(scores, labels))
    assert found == pytest.approx(slow_average_precision(scores, labels))


def test_a_class_without_images_has_no_average_precision():
    assert average_precision(label_curve(np.ones(3), np.zeros(3, bool))) is None
    assert average_precision(label_curve(np.array([0.2, 0.9]), np.array([False, True]))) == 1.0
