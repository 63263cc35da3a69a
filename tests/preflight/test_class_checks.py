"""Class ids against num_classes and names."""

import pytest

from efficientvision.errors import UserError
from efficientvision.preflight.class_checks import check_classes, class_findings, numbering_findings
from efficientvision.preflight.findings import ERROR, OK, WARNING
from tests.example_records import example

NAMES = {1: "cat", 2: "dog", 3: "Fox"}
BOX = (10, 20, 30, 60)


def made(scan, *ids, texts=None):
    """Reads records of one object each, with these ids and the names that belong to them."""
    texts = texts or [NAMES.get(i, "") for i in ids]
    pairs = enumerate(zip(ids, texts, strict=True))
    return scan(example(k, [BOX], [i], class_names=[text]) for k, (i, text) in pairs)


def test_all_is_well(scan):
    (row,) = class_findings(made(scan, 1, 2, 2, 3), "train", 3, NAMES)
    assert row.level == OK
    assert "num_classes=3 (4 with the background)" in row.found
    assert "1 cat 1, 2 dog 2, 3 Fox 1" in row.found


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ((0, 1, 2), ("", "", "")),
        ((0, 1, 1), ("cat", "dog", "dog")),
        ((2, 3, 4), ("", "", "")),
        ((3, 4), ("dog", "fox")),
    ],
)
def test_ids_shifted_by_one(scan, ids, texts):
    (row,) = class_findings(made(scan, *ids, texts=texts), "train", 3, NAMES)
    assert row.level == ERROR
    assert "shifted by one" in row.found and "num_classes=3" in row.found
    assert "number the classes 1..3" in row.advice


def test_too_few_classes_say_how_many_are_needed(scan):
    read = made(scan, 1, 2, 3)
    (row,) = class_findings(read, "train", 2, {})
    assert row.level == ERROR and "set num_classes=3 " in row.advice
    assert "image '3' in set-00000-of-00001.tfrecord has an object of class 3" in row.found
    (row,) = class_findings(read, "train", 2, {**NAMES, 5: "owl"})
    assert "class 3 (Fox)" in row.found and "set num_classes=5 " in row.advice


def test_negative_ids(scan):
    with pytest.raises(UserError, match="record 0 of .*holds -1, and must hold class numbers"):
        made(scan, -1, 2)


def test_shifted_within_range_shows_in_the_records_own_names(scan):
    read = made(scan, 2, 3, 4, texts=["cat", "DOG ", "fox"])
    rows = class_findings(read, "train", 4, {**NAMES, 4: "owl"})
    row = rows[-1]
    assert row.level == WARNING and "2 is 'cat' in the records but 'dog' here" in row.found
    assert "shifted by 1" in row.found


def test_names_of_another_set(scan):
    rows = class_findings(made(scan, 1, 2, texts=["cell", "dog"]), "train", 3, NAMES)
    row = rows[-1]
    assert row.level == WARNING and "1 is 'cell' in the records but 'cat' here" in row.found
    assert "2 is" not in row.found and "label_map" in row.advice


def test_classes_without_objects_and_without_names(scan):
    first, second = class_findings(made(scan, 1, 4, texts=["cat", "bee"]), "train", 4, NAMES)
    assert first.level == WARNING and "none for 2 dog, 3 Fox" in first.found
    assert second.level == WARNING and "classes 4 have objects but no name" in second.found


def test_a_head_that_is_too_large(scan):
    rows = class_findings(made(scan, 1, 2, 3), "train", 90, NAMES)
    assert rows[-1].level == WARNING and rows[-1].advice == "set num_classes=3"
    assert [row.level for row in class_findings(made(scan, 1, 2, 3), "val", 90, NAMES)] == [OK]


def test_no_objects_say_nothing(scan):
    assert class_findings(scan([example(0, [])]), "train", 3, NAMES) == []


def test_check_classes_says_both_numbers(write):
    pattern = write([example(0, [BOX], [1]), example(1, [BOX], [5])])
    check_classes(pattern, 5, {})
    with pytest.raises(
        UserError, match=r"num_classes=3, but image '2' in .*class 5.*num_classes=5"
    ):
        check_classes(pattern, 3, {})


def test_val_that_numbers_the_classes_otherwise(scan, write):
    train = made(scan, 1, 2, 3)
    val = scan([example(0, [BOX], [2], class_names=["fox"])], "val")
    row = class_findings(val, "val", 3, NAMES)[-1]
    assert row.level == ERROR and "2 is 'fox' in the records but 'dog' here" in row.found
    assert "`label_map_json_path=" in row.advice
    (row,) = numbering_findings(train, val, {})
    assert row.level == ERROR and row.found == "class 'fox' is 2 in val and 3 in train"
    assert numbering_findings(train, val, NAMES) == []  # Said already.
    assert numbering_findings(train, train, {}) == []
    pattern = write([example(0, [BOX], [2], class_names=["fox"])], "fox")
    with pytest.raises(UserError, match="'fox' in the records but 'dog' here"):
        check_classes(pattern, 3, NAMES)
    check_classes(pattern, 3, NAMES, part="train")
