"""Records without those that are damaged."""

import pytest

from efficientvision.data.labels import find_labels, write_labels
from efficientvision.data.record_files import count_records, iter_records, match_files
from efficientvision.data.usable_records import said, usable_records
from efficientvision.errors import UserError
from tests.data.test_damaged_records import change, offsets
from tests.made_records import write_made_records


def test_damaged_ones_are_left_out_and_listed(tmp_path):
    for shard in range(3):
        write_made_records(tmp_path / f"set-0000{shard}-of-00003.tfrecord", 4)
    paths = match_files(str(tmp_path / "set*"))
    change(paths[1], offsets(paths[1])[2] + 300)
    change(paths[2], offsets(paths[2])[1] + 1)  # The length: the next one is found all the same.
    folder = str(tmp_path / "usable")
    pattern, left_out = usable_records(str(tmp_path / "set*"), folder)
    found = match_files(pattern)
    assert paths[0] in found and count_records(sorted(found)) in ([4, 3, 3], [3, 3, 4])
    kept = [record for path in found if path != paths[0] for record in iter_records(path)]
    whole = list(iter_records(paths[0]))
    assert kept == [whole[0], whole[1], whole[3], whole[0], *whole[2:]]
    assert [(bad.path, bad.position) for bad in left_out] == [(paths[1], 2), (paths[2], 1)]
    # What stood where a length is damaged is not known to have been one record.
    assert said(left_out)[0] == "Damaged records left out: at least 2" and said([]) == []
    assert said(left_out[:1])[0] == "Damaged records left out: 1"
    begin, following = offsets(paths[0])[1:3]
    assert f"the {following - begin:,} bytes up to the next are lost" in said(left_out)[2]
    # Whole sets are read where they are.
    assert usable_records(paths[0], folder) == (paths[0], [])


def test_classes_keep_their_names(tmp_path):
    """Though every file has a bad record, so that all of them are copied."""
    names = {"train": {1: "odd", 2: "even"}, "val": {1: "even", 2: "odd"}}
    for part, own in names.items():
        write_made_records(tmp_path / f"{part}-00000-of-00001.tfrecord", 3)
        change(str(tmp_path / f"{part}-00000-of-00001.tfrecord"), 300)
        write_labels(str(tmp_path / part), own)
    assert (tmp_path / "labels_val.json").exists()
    for part, own in names.items():
        pattern, _ = usable_records(str(tmp_path / f"{part}*"), str(tmp_path / "usable" / part))
        assert str(tmp_path / "usable") in pattern and find_labels(pattern) == own


def test_nothing_left(tmp_path):
    path = str(write_made_records(tmp_path / "set-00000-of-00001.tfrecord", 1))
    change(path, 300)
    with pytest.raises(UserError, match="None of the records"):
        usable_records(path, str(tmp_path / "usable"))
