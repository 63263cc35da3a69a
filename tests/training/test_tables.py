import pytest

from efficientvision.training.tables import read_table, write_table


def test_what_is_written_is_read(tmp_path):
    rows = [
        {"name": 'a "name", with\nall', "value": 1 / 3},
        {"name": "b", "count": 7, "none": None},
    ]
    write_table(tmp_path, "t.csv", rows)
    assert read_table(tmp_path, "t.csv") == [
        {"name": 'a "name", with\nall', "value": "0.333333", "count": "", "none": ""},
        {"name": "b", "value": "", "count": "7", "none": ""},
    ]


@pytest.mark.parametrize("rows", [[], [{}]])
def test_nothing_to_write(tmp_path, rows):
    write_table(tmp_path, "t.csv", rows)
    assert read_table(tmp_path, "t.csv") == []
    assert read_table(tmp_path, "absent.csv") == []
