"""Which photos nearly repeat each other, and which names are only the numbering of a set."""

import pytest

from efficientvision.data.photo_groups import group_keys, name_keys


def groups(names, folder="photos"):
    """The names that are together with others, in groups."""
    found = {}
    for name, key in zip(names, name_keys([f"{folder}/{name}" for name in names]), strict=True):
        found.setdefault(key, []).append(name)
    return [members for members in found.values() if len(members) > 1]


NUMBERINGS = {
    "bccd": [f"BloodImage_{k:05d}.jpg" for k in range(60)],
    "coco": [f"COCO_train2014_{k * 9:012d}.jpg" for k in range(60)],
    "coco2017": [f"{k * 7:012d}.jpg" for k in range(60)],
    "voc": [f"{year}_{k:06d}.jpg" for year in (2007, 2008) for k in range(1, 40)],
    "years": [f"{year}_{k:02d}.jpg" for year in (2022, 2023) for k in range(1, 20)],
    "days": [f"{day}_{k}.jpg" for day in (20240101, 20240102) for k in range(1, 20)],
    "whatsapp": [f"IMG-20240101-WA{k:04d}.jpg" for k in range(20)],
    "imagenet": [f"n{wnid}_{k}.JPEG" for wnid in ("01440764", "01443537") for k in range(20)],
    "pets": [f"{breed}_{k}.jpg" for breed in ("Abyssinian", "pug") for k in range(20)],
    "classes": [f"class{c}_{k}.jpg" for c in (1, 2) for k in range(20)],
    "one head": [f"set001_{k}.jpg" for k in range(20)],
    "many": [f"{head}_{k}.jpg" for head in ("set001", "set002") for k in range(40)],
    "windows": [f"cat ({k}).jpg" for k in range(20)],
    "camera": [f"DSC_{k:04d}.JPG" for k in range(20)],
    "seconds": [f"IMG_20240101_1200{k:02d}.jpg" for k in range(20)],
    "uuid": [f"550e8400-e29b-41d4-a716-44665544{k:04d}.jpg" for k in range(20)],
    "words": [f"david_{k:04d}.jpg" for k in range(20)] + [f"clips_{k:04d}.jpg" for k in range(20)],
}


@pytest.mark.parametrize("names", NUMBERINGS.values(), ids=list(NUMBERINGS))
def test_the_numbering_of_a_set_is_no_group(names):
    assert groups(names) == []


TOGETHER = {
    "counted by a camera": ["IMG_0012_1.jpg", "IMG_0012_2.jpg", "IMG_0012.jpg"],
    "with a dash": ["DSC_0001-1.jpg", "DSC_0001-3.jpg"],
    "copies of a phone": ["IMG_0033~2.jpg", "IMG_0033~3.jpg", "IMG_0033.jpg"],
    "in brackets": ["IMG_0034 (1).jpg", "IMG_0034(2).jpg"],
    "burst": [
        "IMG_20240101_120000_BURST001_COVER.jpg", "IMG_20240101_120000_BURST002.jpg",
        "IMG_20240101_120000.jpg",
    ],
    "burst of a pixel": [
        "00000IMG_00000_BURST20240101120000123_COVER.jpg",
        "00001IMG_00001_BURST20240101120000123.jpg",
    ],
    "second": ["20240101_120000_001.jpg", "20240101_120000_002.jpg", "20240101_120000(0).jpg"],
    "dropbox": ["2024-01-01 12.00.00-1.jpg", "2024-01-01 12.00.00.jpg"],
    "milliseconds": ["PXL_20240101_120000123.jpg", "PXL_20240101_120000900.MP.jpg"],
    "roboflow": [f"cells_7_jpg.rf.{digest * 32}.jpg" for digest in "abc"],
    "roboflow twice": [f"IMG_2277_jpeg_jpg.rf.{digest * 32}.jpg" for digest in "abc"],
    "augmented": ["cells_9_aug1.png", "cells_9_aug2.png", "cells_9.png"],
    "track": [f"00000_{k:05d}.ppm" for k in range(30)],
}  # fmt: skip


@pytest.mark.parametrize("names", TOGETHER.values(), ids=list(TOGETHER))
def test_near_copies_are_together(names):
    others = ["cells_7_other.jpg", "IMG_0035_1.jpg", "a.jpg", "20240101_120001.jpg", "0_1.jpg"]
    assert groups([*names, *others]) == [names]


def test_frames_of_short_videos_stay_together():
    videos = [[f"video{v}_frame_{k:04d}.jpg" for k in range(3)] for v in range(12)]
    videos += [[f"clip{v}_mp4-{k}_jpg.rf.{v:032x}.jpg" for k in range(3)] for v in range(12)]
    assert groups(sum(videos, [])) == videos


def test_a_long_video_is_cut_to_runs_of_frames():
    names = [f"frame_{k:06d}.png" for k in range(0, 4000, 40)]
    assert groups(names[::-1]) == [names[start : start + 10][::-1] for start in range(90, -10, -10)]
    assert groups(names[:15]) == []


def test_a_recording_named_after_its_second_is_cut_as_well():
    names = [f"VID_20240101_120000_{k:04d}.jpg" for k in range(40)]
    assert groups(names) == [names[start : start + 4] for start in range(0, 40, 4)]


def test_copies_of_a_frame_stay_together_in_a_run():
    names = [f"frame_{k:03d}_jpg.rf.{c * 32}.jpg" for k in range(40) for c in "abc"]
    assert groups(names) == [names[start : start + 12] for start in range(0, 120, 12)]


def test_folders_are_apart():
    keys = name_keys(["a/IMG_0012_1.jpg", "b/IMG_0012_2.jpg", "a/IMG_0012_3.jpg", "a/x.jpg"])
    assert keys[0] == keys[2] and len(set(keys)) == 3


def test_the_same_bytes_join_groups(tmp_path):
    contents = {"a.jpg": b"12", "IMG_0012_1.jpg": b"12", "IMG_0012_2.jpg": b"34", "b.jpg": b"56"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    keys = group_keys([str(tmp_path / name) for name in (*contents, "missing.jpg")])
    assert keys[0] == keys[1] == keys[2] and len(set(keys)) == 3
