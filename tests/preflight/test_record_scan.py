"""What is read of records, whole or in part."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.preflight.record_scan import scan_records
from tests.example_records import HEIGHT, WIDTH, example, photo


def test_every_field_comes_back(write):
    first = example(0, [(10, 20, 30, 60), (0, 0, 60, 90)], [2, 7], is_crowd=[0, 1])
    second = example(1, [], source_id="", encoded=photo(40, 50, image_format="JPEG"))
    third = example(2, [(1, 2, 3, 4)], [1], height=HEIGHT + 1)
    scan = scan_records(write([first, second, third], num_shards=2))
    assert (scan.num_read, scan.num_records, scan.complete) == (3, 3, True)
    assert scan.file_counts.tolist() == [2, 1]
    order = [scan.image_hw.tolist().index([40, 50])]
    assert scan.stated_hw[order[0]].tolist() == [HEIGHT, WIDTH]
    rows = {scan.source_ids[i]: i for i in range(3)}
    assert {"1", "3"} < set(rows) and scan.named.sum() == 2
    assert scan.objects_per_image[[rows["1"], order[0], rows["3"]]].tolist() == [2, 0, 1]
    mine = scan.image_of == rows["1"]
    np.testing.assert_allclose(scan.boxes_pixels_yxyx[mine], first.boxes_yxyx, atol=1e-4)
    assert scan.classes[mine].tolist() == [2, 7] and scan.is_crowd[mine].tolist() == [False, True]
    texts = np.array(scan.class_texts)
    assert texts[mine].tolist() == ["name 2", "name 7"]
    assert scan.stated_hw[rows["3"]].tolist() == [HEIGHT + 1, WIDTH]
    # Photos with boxes are kept, byte for byte.
    assert scan.photos == {rows["1"]: first.encoded, rows["3"]: third.encoded}
    assert scan.place(rows["3"]) == "image '3' in set-00000-of-00002.tfrecord"


def test_a_part_of_every_file_and_an_estimate_of_the_rest(write):
    pattern = write([example(i, encoded=photo(seed=7)) for i in range(40)], num_shards=4)
    scan = scan_records(pattern, limit=12)
    assert scan.file_counts.tolist() == [3, 3, 3, 3]
    assert not scan.complete
    # Ids differ in length, photos do not.
    assert scan.num_records == pytest.approx(40, abs=1)
    assert sorted(map(int, scan.source_ids)) == list(range(1, 13))


def test_the_same_photo_has_the_same_hash(write):
    twice = photo(seed=3)
    scan = scan_records(write([example(0, encoded=twice), example(1, encoded=twice), example(2)]))
    first, second, third = scan.content_hashes.tolist()
    assert first == second != third
    regenerated = scan_records(write([example(0)], "other"), regenerate_source_id=True)
    assert regenerated.source_ids == [str(regenerated.content_hashes[0])]


def test_names_that_are_incomplete_are_left_out(write):
    scan = scan_records(write([example(0), example(1, class_names=[])]))
    assert scan.class_texts is None


def test_an_empty_file(write, tmp_path):
    pattern = write([example(0)])
    (tmp_path / "set-00001-of-00002.tfrecord").touch()
    assert scan_records(pattern).file_counts.tolist() == [1, 0]
    empty = scan_records(str(tmp_path / "set-00001*"))
    assert (empty.num_read, empty.num_records, empty.complete) == (0, 0, True)
    assert empty.boxes_pixels_yxyx.shape == (0, 4)


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"classes": [1, 2, 3]}, "3 classes for"),
        ({"encoded": b"\xff\xd8\xff no photo"}, "cannot be decoded"),
    ],
)
def test_a_damaged_record_is_named(write, spoilt, words):
    bad = example(1, **spoilt, class_names=[], areas=[])
    with pytest.raises(UserError, match=f"record 1 of .*image '2'.*{words}"):
        scan_records(write([example(0), bad]))


def test_a_file_cut_short_is_named(write, tmp_path):
    pattern = write([example(0), example(1)])
    path = tmp_path / "set-00000-of-00001.tfrecord"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="set-00000.*is cut short"):
        scan_records(pattern)
