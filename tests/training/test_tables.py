import pytest

from efficientvision.training.epoch_progress import lacks_row
from efficientvision.training.run_log import RunLog, read_results
from efficientvision.training.tables import read_table, table_to_go_on, write_table


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


ROWS = [{"step": "10", "loss": "0.5", "note": "a"}, {"step": "20", "loss": "-1.25e-05", "note": ""}]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_that_a_spreadsheet_has_saved(tmp_path, separator):
    write_table(tmp_path, "t.csv", ROWS)
    path = tmp_path / "t.csv"
    text = path.read_text().replace(",", separator).replace(".", ",").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    saved = path.read_bytes()
    assert read_table(tmp_path, "t.csv") == ROWS
    said = []
    assert table_to_go_on(tmp_path, "t.csv", 20, said.append) == ROWS
    assert "saved by a spreadsheet program; all rows kept" in said[0]
    assert (tmp_path / "t.csv.damaged").read_bytes() == saved


def test_a_table_of_which_rows_are_left_out_is_kept(tmp_path):
    path = tmp_path / "t.csv"
    said = []
    for number in ("", "2"):
        write_table(tmp_path, "t.csv", [*ROWS, {"step": "30.5", "loss": "1"}])
        damaged = path.read_bytes()
        assert table_to_go_on(tmp_path, "t.csv", 20, said.append) == ROWS
        assert "1 of 3 rows were damaged and dropped" in said[-1]
        assert (tmp_path / f"t.csv.damaged{number}").read_bytes() == damaged
    write_table(tmp_path, "t.csv", ROWS)
    assert table_to_go_on(tmp_path, "t.csv", 10, said.append) == ROWS[:1] and len(said) == 2


def test_a_resumed_run_may_have_metrics_that_its_earlier_rows_lack(tmp_path):
    write_table(tmp_path, "results.csv", [{"step": 10, "epoch": 1, "loss": 2.0, "AP": 0.1}])
    log = RunLog(tmp_path, batch_size=4, first_step=10)
    log.epoch_ended(20, 2, {"loss": 1.0, "AP": 0.2, "val_loss": 1.5})
    log.end()
    first, second = read_results(tmp_path)
    assert first["val_loss"] == "" and second["val_loss"] == "1.5"
    assert list(second)[-1] == "val_loss" and not lacks_row(tmp_path, 10, "AP")
