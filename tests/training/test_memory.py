"""Resident size does not grow from round to round of training and evaluation."""

import json

import pytest

from tests.made_records import write_made_records
from tests.programs import in_a_process

SMALL = "num_classes=2,image_size=64,fpn_cell_repeats=1,box_class_repeats=1"


@pytest.mark.slow
def test_resident_size_is_steady(tmp_path):
    records = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 16)
    done = in_a_process(
        "tests/training/memory.py", records, tmp_path / "run", SMALL, 2, timeout=None
    )
    assert done.code == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["traces"] == [1, 1]
    assert len(result["rss"]) == 5
    assert max(result["rss"][2:]) < 1.02 * result["rss"][1], result["rss"]
