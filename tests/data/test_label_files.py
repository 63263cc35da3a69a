"""Files of class names and colours as editors of any system save them."""

import unicodedata

import pytest

from efficientvision.data.labels import read_labels
from efficientvision.data.masks import mask_files
from efficientvision.errors import UserError

CAFE = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
APART = unicodedata.normalize("NFD", CAFE)
MARK = b"\xef\xbb\xbf"


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="names.txt"):
        encoded = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(encoded)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("mark", [b"", MARK])
def test_marks_and_line_ends_of_windows(file, mark):
    names = mask_files.read_class_names(file(mark + b"sky\r\n\r\nroad \r\n"))
    assert names == ["sky", "road"]
    colors, names = mask_files.read_palette(file(mark + b"0 0 0 sky\r\n255, 0, 0, road\r\n"))
    assert (colors, names) == ({(0, 0, 0): 0, (255, 0, 0): 1}, ["sky", "road"])
    assert read_labels(file(mark + b'{"1": "sky"}', "a.json")) == {1: "sky"}
    assert read_labels(file(mark + b"1: sky\r\n", "a.yaml")) == {1: "sky"}


def test_names_are_composed(file):
    assert mask_files.read_class_names(file(f"sky\n{APART}\n")) == ["sky", CAFE]
    names = mask_files.read_class_names(file(f"{CAFE}\nsky\n"))
    colors, _ = mask_files.read_palette(file(f"0 0 0 sky\n9 9 9 {APART}\n"), names)
    assert colors == {(0, 0, 0): 1, (9, 9, 9): 0}
    assert read_labels(file(f'{{"{APART}": 4}}', "a.json")) == {4: CAFE}
    with pytest.raises(UserError, match="twice"):
        mask_files.read_class_names(file(f"{CAFE}\n{APART}\n"))


@pytest.mark.parametrize(
    ("encoding", "says"), [("utf-16", "is UTF-16 text"), ("latin-1", "is not UTF-8 text")]
)
@pytest.mark.parametrize("read", ["names", "palette", "json", "yaml"])
def test_other_encodings_are_one_sentence(file, read, encoding, says):
    door, text = {
        "names": (lambda c: mask_files.read_class_names(file(c)), "K\xe4se\n"),
        "palette": (lambda c: mask_files.read_palette(file(c)), "0 0 0 K\xe4se\n"),
        "json": (lambda c: read_labels(file(c, "a.json")), '{"1": "K\xe4se"}'),
        "yaml": (lambda c: read_labels(file(c, "a.yaml")), "1: K\xe4se\n"),
    }[read]
    with pytest.raises(UserError, match=f"{says}.*: save it as UTF-8"):
        door(text.encode(encoding))


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("1: yes\n2: no\n", "a.yaml", "name of class 1 is read as True.*put quotes around it"),
        ("1: null\n", "a.yaml", "is read as None"),
        ("1: 1e3\n", "a.yaml", "name of class 1 is read as 1000.0"),
        (
            "1: a\n2: 010\n",
            "a.yaml",
            "line 2: YAML reads 010 as the number 8.*put quotes around it",
        ),
        ("1: 1:30\n", "a.yaml", "1:30 as the number 90"),
        ("1: a\n1: b\n", "a.yaml", "line 2: duplicate key 1"),
        ('{"1": "a", "1": "b"}', "a.json", "'1' occurs twice"),
        (".inf: a\n", "a.yaml", "got inf: 'a'"),
        ("1.5: a\n", "a.yaml", "got 1.5: 'a'"),
        ("yes: a\n", "a.yaml", "got True: 'a'"),
        ('{"9999999999": "a"}', "a.json", "got '9999999999': 'a'"),
        ('{"' + "9" * 5000 + '": "a"}', "a.json", "got '9999"),
        ('{"1": ' + "9" * 5000 + "}", "a.json", "is not valid"),
        ("[" * 200_000, "a.json", "nested too deeply"),
        ("[" * 5000, "a.yaml", "nested too deeply|is not valid"),
        ('{"1": ["a"]}', "a.json", "expected {class id: name}"),
        ("a: [\n", "a.yaml", "is not valid"),
    ],
)
def test_label_files_without_sense(file, content, name, says):
    with pytest.raises(UserError, match=says):
        read_labels(file(content, name))
