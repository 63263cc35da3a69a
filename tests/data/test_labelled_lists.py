"""Lists of path,label as spreadsheets and scripts write them."""

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.labelled_lists import read_csv
from efficientvision.errors import UserError


@pytest.fixture
def read(tmp_path):
    """The images of a list beside 0.png, 1.png and 2.png: (name, classes)."""
    for k in range(3):
        Image.fromarray(np.full((4, 5, 3), k, np.uint8)).save(tmp_path / f"{k}.png")

    def of(content):
        path = tmp_path / "list.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(image.source_id, image.classes) for image in read_csv(str(path))]

    return of


TWO = [("0.png", ("cat",)), ("1.png", ("dog",))]


@pytest.mark.parametrize(
    "text",
    [
        '"0.png", "cat"\n"1.png", "dog"\n',
        "sep=,\npath,label\n0.png,cat\n1.png,dog\n",
        "sep=;\r\n0.png;cat\r\n1.png;dog\r\n",
        "image.file,label\n0.png,cat\n1.png,dog\n",
        "\nfile.name,Class\n0.png,cat\n1.png,dog\n",
        "./0.png,cat\n1.png,dog\n",
    ],
)
def test_forms_of_a_list(read, text):
    assert read(text) == TWO


def test_line_breaks_in_cells_become_blanks(read):
    assert read('0.png,"big\ncat"\n1.png,"a\r\nb;c"\n') == [
        ("0.png", ("big cat",)),
        ("1.png", ("a b", "c")),
    ]


def test_lines_that_repeat_another_are_said(read, capsys):
    assert read("0.png,cat;pet\n1.png,dog\n./0.png,pet;cat\n") == [
        ("0.png", ("cat", "pet")),
        ("1.png", ("dog",)),
    ]
    assert "1 repeated lines are left out (the first: line 3 repeats line 1)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("0.png,cat\n1.png,dog\n./0.png,dog\n", "line 1 gives ./0.png the label 'cat', but line 3"),
        ("filename, cat\n0.png, 1\n1.png, 0\n", "has a column 'cat' of 0 and 1"),
        ("filename, cat, dog\n0.png, 1, 0\n", "expected path,label, got 3 fields"),
        ("0.png,cat\n".encode("utf-16-le"), "is UTF-16 text: save it as UTF-8"),
        ("0.png,cat\n".encode("utf-16-be"), "is UTF-16 text: save it as UTF-8"),
        ("0.png,cat\n".encode("utf-32"), "is UTF-32 text: save it as UTF-8"),
        ("0.png,cat\n".encode("utf-32-be"), "is UTF-32 text: save it as UTF-8"),
        (b"0.png,c\0t\n" + b"1.png,dog\n" * 9, r"not UTF-8 text \(it contains zero bytes\)"),
        (b"PK\x03\x04\x14\0\6\0\x08\0\0\0!\0\xff\xfe", "not text, but .*xlsx: save a table as CSV"),
    ],
)
def test_lists_that_cannot_be_used(read, content, says):
    with pytest.raises(UserError, match=says):
        read(content)


def test_numbers_are_names_of_classes_too(read):
    assert read("path,label\n0.png,1\n1.png,0\n") == [("0.png", ("1",)), ("1.png", ("0",))]
