"""Records without those that are damaged."""

import pytest

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
    change(paths[2], offsets(paths[2])[1] + 1)  # The length: the rest of the file is lost.
    folder = str(tmp_path / "usable")
    pattern, sentences = usable_records(str(tmp_path / "set*"), folder)
    found = match_files(pattern)
    assert paths[0] in found and count_records(sorted(found)) in ([4, 3, 1], [3, 1, 4])
    kept = [record for path in found if path != paths[0] for record in iter_records(path)]
    whole = list(iter_records(paths[0]))
    assert kept == [whole[0], whole[1], whole[3], whole[0]]
    assert [f"record {k} of {p}" in s for k, p, s in zip((2, 1), paths[1:], sentences, strict=True)]
    assert said(sentences)[0] == "Damaged records left out: 2" and said([]) == []
    # Whole sets are read where they are.
    assert usable_records(paths[0], folder) == (paths[0], [])


def test_nothing_left(tmp_path):
    path = str(write_made_records(tmp_path / "set-00000-of-00001.tfrecord", 1))
    change(path, 300)
    with pytest.raises(UserError, match="None of the records"):
        usable_records(path, str(tmp_path / "usable"))
