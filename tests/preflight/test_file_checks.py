"""Empty, missing and outdated shards."""

import io

from PIL import Image

from efficientvision.data.picture_files import orientation_of
from efficientvision.preflight.file_checks import file_findings
from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.segmentation.checks import scan_masks
from tests.example_records import example
from tests.made_class_records import write_class_records
from tests.made_mask_records import made_mask_record, picture


def findings(pattern, **options):
    return file_findings(scan_records(pattern, **options), "train")


def test_whole_set(write):
    (row,) = findings(write([example(i) for i in range(5)], num_shards=2))
    assert (row.level, row.found) == (OK, "5 records in 2 files, all read")


def test_part_of_a_set_says_how_many_were_read(write):
    (row,) = findings(write([example(i) for i in range(9)], num_shards=3), limit=3)
    assert "about 9 records" in row.found and "3 read" in row.found


def test_an_empty_shard_is_named_and_an_empty_set_stops(write, tmp_path):
    pattern = write([example(i) for i in range(4)], num_shards=2)
    (tmp_path / "set-00001-of-00002.tfrecord").write_bytes(b"")
    ok, row = findings(pattern)
    assert ok.level == OK and "2 records" in ok.found
    assert (
        row.level == WARNING and row.found == "1 of 2 files are empty: set-00001-of-00002.tfrecord"
    )
    (tmp_path / "set-00000-of-00002.tfrecord").write_bytes(b"")
    (row,) = findings(pattern)
    assert row.level == ERROR and "no records" in row.found


def test_photos_that_a_tag_turns_are_counted(write):
    """Of other makers' records: our converters turn photos before they store them."""
    encoded = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 16)).save(encoded, "JPEG", exif=exif)
    lying = example(1, encoded=encoded.getvalue(), image_format="jpeg", height=16, width=24)
    broken = example(2, encoded=encoded.getvalue()[:40], height=16, width=24)
    _, row = findings(write([example(0), lying]))
    assert row.level == WARNING and "1 of 2 photos checked have an EXIF tag" in row.found
    assert orientation_of(encoded.getvalue()) == 6
    assert orientation_of(broken.encoded) == orientation_of(b"") == 1


def test_photos_of_masks_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    lying = io.BytesIO()
    Image.fromarray(picture(1)[0]).save(lying, "PNG", exif=exif)
    records = [made_mask_record(0), made_mask_record(1, encoded=lying.getvalue())]
    pattern = write_class_records(tmp_path / "masks", records)
    _, row = file_findings(scan_masks(pattern).records, "train")
    assert row.level == WARNING and "1 of 2 photos checked have an EXIF tag" in row.found
    assert "image '1'" in row.found


def test_a_missing_shard_is_named(write, tmp_path):
    pattern = write([example(i) for i in range(3)], num_shards=3)
    (tmp_path / "set-00001-of-00003.tfrecord").unlink()
    _, row = findings(pattern)
    assert row.level == WARNING
    assert row.found == "1 of 3 numbered files are missing: set-00001-of-00003.tfrecord"


def test_two_conversions_side_by_side(write, tmp_path):
    pattern = write([example(i) for i in range(4)], num_shards=2)
    (tmp_path / "set-00000-of-00001.tfrecord").write_bytes(
        (tmp_path / "set-00000-of-00002.tfrecord").read_bytes()
    )
    _, row = findings(pattern)
    assert row.level == WARNING and "2 conversions of set" in row.found
