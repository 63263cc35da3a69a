"""What is said of each class of a classifier."""

import numpy as np
import pytest

from efficientvision.evaluation.details import PER_CLASS
from efficientvision.tasks.classification.details import single_label_details

NAMES = {1: "ant", 2: "bee", 3: "cat"}


def test_precision_recall_and_images_of_each_class():
    """Of four ants one is taken for a bee; two cats are taken for ants; there is no bee."""
    labels = np.array([0, 0, 0, 0, 2, 2, 2, -1])
    predicted = np.array([0, 0, 0, 1, 0, 0, 2, 2])
    details = single_label_details(labels, predicted, NAMES)
    ant, bee, cat = details.tables[PER_CLASS]
    assert (ant["class"], ant["images"]) == ("ant", 4)
    assert (ant["precision"], ant["recall"]) == pytest.approx((3 / 5, 3 / 4))
    assert ant["F1"] == pytest.approx(2 * 3 / (5 + 4))
    assert (bee["images"], bee["precision"], bee["recall"]) == (0, 0.0, None)
    assert (cat["images"], cat["precision"]) == (3, 1.0)
    assert cat["recall"] == pytest.approx(1 / 3)
