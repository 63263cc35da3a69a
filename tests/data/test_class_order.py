"""Class ids of records against the outputs of a network."""

import pytest

from efficientvision.data.class_order import class_ids, network_names
from efficientvision.data.labels import BUILTIN
from efficientvision.errors import UserError

RAW = {2: "ant", 7: "bee", 5: "cat"}


def test_gaps_close_in_the_order_of_the_ids():
    assert network_names(RAW) == {1: "ant", 2: "cat", 3: "bee"}
    coco = network_names(BUILTIN["coco"])
    assert (len(coco), coco[1], coco[12], coco[80]) == (80, "person", "stop sign", "toothbrush")


def test_ids_follow_the_networks_names():
    assert class_ids(network_names(RAW), RAW, 3, what="val") == [2, 5, 7]
    # The records of an evaluation number the same classes otherwise.
    assert class_ids({1: "cat", 2: "ant"}, {1: "ant", 2: "cat"}, 2, what="val") == [2, 1]


def test_without_names_the_order_counts():
    assert class_ids({}, {}, 3, what="val") == [1, 2, 3]
    assert class_ids({}, RAW, 3, what="val") == [2, 5, 7]


def test_a_class_that_the_records_lack_gets_an_id_of_its_own():
    ids = class_ids({1: "ant", 2: "dog", 3: "bee"}, {2: "ant", 7: "bee"}, 3, what="val")
    assert (ids[0], ids[2]) == (2, 7) and ids[1] not in RAW


def test_a_class_that_the_network_lacks_is_an_error():
    with pytest.raises(UserError, match="'bee'"):
        class_ids({1: "ant", 2: "cat"}, RAW, 2, what="val")
    with pytest.raises(UserError, match="num_classes=2"):
        class_ids({}, RAW, 2, what="val")
