"""Pairs of images and masks become records; spoilt ones are named."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.labels import find_labels
from efficientvision.data.masks import convert, folders, mask_files
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save, write_pairs
from tests.made_mask_records import CLASSES, LEVELS, picture

NAMES = {0: "sky", 1: "road", 2: "tree", 3: "car"}
READER = mask_files.MaskFiles(CLASSES, mask_files.label_table(()))


def converted(folder, reader=READER, labels=NAMES, found=None, **options):
    found = found or folders.find_pairs(str(folder / "images"), str(folder / "labels"))
    options = {"num_shards": 2, "num_workers": 1, **options}
    return convert.convert(found, str(folder / "out"), reader, labels, **options)


def test_a_folder_pair(tmp_path):
    (report,) = converted(write_pairs(tmp_path))
    assert sorted(os.listdir(tmp_path / "out")) == [
        "labels.json", "train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord",
    ]  # fmt: skip
    assert find_labels(report.files, of_masks=True) == NAMES
    masks = read_masks(report)
    assert sorted(masks) == ["0", "1", "2"]
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, picture(int(name))[1])
    pixels = np.bincount(np.concatenate([picture(k)[1].reshape(-1) for k in range(3)]))
    assert report.num_boxes == pixels.sum()
    assert f"{pixels[1] / pixels.sum():7.2%}" in report.details[1]


def test_processes_write_the_same(tmp_path):
    (alone,) = converted(write_pairs(tmp_path / "a", 17))
    (shared,) = converted(write_pairs(tmp_path / "b", 17), num_workers=2)
    for ours, theirs in zip(alone.files, shared.files, strict=True):
        assert open(ours, "rb").read() == open(theirs, "rb").read()


def test_train_and_val_folders(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for k in range(count):
            image, mask = picture(k)
            save(tmp_path / "images" / part / "town" / f"{k}.png", image)
            save(tmp_path / "labels" / part / "town" / f"{k}_L.png", mask)
    found = folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "labels"), "_L")
    train, val = converted(tmp_path, found=found)
    assert sorted(read_masks(train)) == ["town/0", "town/1", "town/2"]
    assert sorted(read_masks(val)) == ["town/0", "town/1"]


def test_a_share_is_held_out(tmp_path):
    write_pairs(tmp_path, 10)
    found = folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "labels"))
    pairs = found.parts["train"]
    parts = folders.split(pairs, 0.3, seed=1)
    assert len(parts["val"]) == 3
    assert sorted(parts["train"] + parts["val"], key=lambda pair: pair.image) == pairs
    assert parts == folders.split(pairs, 0.3, seed=1) != folders.split(pairs, 0.3, seed=2)


@pytest.mark.parametrize("separator", [", ", " "])
def test_a_list(tmp_path, separator):
    write_pairs(tmp_path)
    lines = [f"/images/{k}.png{separator}/labels/{k}.png" for k in (2, 0)]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    (report,) = converted(tmp_path, found=folders.read_list(str(tmp_path / "train.txt")))
    assert sorted(read_masks(report)) == ["0", "2"]
    (tmp_path / "train.txt").write_text("images/0.png\n")
    with pytest.raises(UserError, match="train.txt, line 1: expected an image and its mask"):
        folders.read_list(str(tmp_path / "train.txt"))


def test_masks_of_other_labels(tmp_path):
    """Labels from 1, 0 and 9 being no class."""
    write_pairs(tmp_path)
    mask = picture(1)[1]
    save(tmp_path / "labels" / "1.png", np.where(mask == 2, 9, mask).astype(np.uint8))
    reader = mask_files.MaskFiles(None, mask_files.label_table([0, 9], first_label=1))
    (report,) = converted(tmp_path, reader, None)
    expected = np.where((mask == 0) | (mask == 2), 255, mask - 1)
    np.testing.assert_array_equal(read_masks(report)["1"], expected)
    assert report.labels == {0: "class 0", 1: "class 1", 2: "class 2"}


def test_masks_in_colours(tmp_path):
    write_pairs(tmp_path)
    colors = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 128]], np.uint8)
    for k in range(3):
        save(tmp_path / "labels" / f"{k}.png", colors[picture(k)[1]])
    palette = tmp_path / "palette.txt"
    palette.write_text("0 0 0 sky\n128 0 0 road\n0, 128, 0 ignored\n0 0 128 road\n")
    table, names = mask_files.read_palette(str(palette))
    assert names == ["sky", "road"]
    reader = mask_files.MaskFiles(2, {}, table)
    (report,) = converted(tmp_path, reader, dict(enumerate(names)))
    for name, mask in read_masks(report).items():
        np.testing.assert_array_equal(mask, np.array([0, 1, 255, 1])[picture(int(name))[1]])
    spoilt = colors[picture(1)[1]]
    spoilt[3, 5] = 9, 8, 7
    save(tmp_path / "labels" / "1.png", spoilt)
    with pytest.raises(
        UserError, match=r"labels/1.png has the colour 9 8 7 \(row 3, column 5; 1 of"
    ):
        exact = mask_files.MaskFiles(2, {}, table, tolerance=0)
        converted(tmp_path, exact, dict(enumerate(names)))


def test_a_turned_photo_is_stored_as_it_is_seen(tmp_path):
    """A mask drawn on the upright photo fits it."""
    write_pairs(tmp_path)
    image, mask = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 8  # Shown after a quarter turn to the left.
    (tmp_path / "images" / "0.png").unlink()
    Image.fromarray(image).save(tmp_path / "images" / "0.jpg", quality=95, exif=exif)
    save(tmp_path / "labels" / "0.png", np.ascontiguousarray(np.rot90(mask)))
    pair = folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "labels")).parts["train"][0]
    loaded = convert.load_pair(pair, READER)
    upright = np.asarray(Image.open(io.BytesIO(loaded.encoded)).convert("L")).astype(int)
    assert upright.shape == loaded.mask.shape == (56, 40)
    told = np.abs(upright[..., np.newaxis] - LEVELS).argmin(axis=-1)
    assert (told == loaded.mask).mean() > 0.98


def _spoil(folder, case):
    image, mask = picture(1)
    photo, label = folder / "images" / "1.png", folder / "labels" / "1.png"
    if case == "other size":
        save(label, mask[::2])
    elif case == "colours":
        save(label, image * np.array([1, 1, 0], np.uint8))
    elif case == "unknown label":
        save(
            label,
            np.where(np.arange(mask.size).reshape(mask.shape) == 60, 7, mask.astype(int)).astype(
                np.uint8
            ),
        )
    elif case == "16 bits":
        save(label, mask.astype(np.uint16) + 1000)
    elif case == "no mask":
        label.unlink()
    elif case == "no image":
        photo.unlink()
    elif case == "cut mask":
        label.write_bytes(label.read_bytes()[:60])
    elif case == "cut photo":
        save(folder / "images" / "1.jpg", image)
        photo.unlink()
        photo = folder / "images" / "1.jpg"
        photo.write_bytes(photo.read_bytes()[:500])
    elif case == "empty file":
        photo.write_bytes(b"")
    elif case == "no picture":
        label.write_text("<html>Not found</html>")
    elif case == "alpha":
        alpha = np.full_like(mask, 255)
        alpha[:4] = 0
        save(label, np.stack([mask, alpha], axis=-1))
    elif case == "JPEG mask":
        label.unlink()
        save(folder / "labels" / "1.jpg", mask)


SPOILT = {
    "other size": "images/1.png has 56 x 40 pixels, but its mask .*labels/1.png has 56 x 20",
    "colours": r"labels/1.png is a colour picture \(RGB\), .* `palette`",
    "unknown label": r"labels/1.png has label 7 \(row 1, column 4; 1 of its 2,240 pixels",
    "16 bits": "labels/1.png has label 100[0-3] .* with 8 bits",
    "no mask": "images/1.png has no mask: there is no .*labels/1.png",
    "no image": "labels/1.png has no image: .* in .*images",
    "cut mask": "labels/1.png cannot be decoded",
    "cut photo": "images/1.jpg cannot be decoded",
    "empty file": "images/1.png is empty",
    "no picture": "labels/1.png is not a picture",
    "alpha": r"labels/1.png has an alpha channel, and 10.0% .* transparent",
    "JPEG mask": "labels/1.jpg is a JPEG",
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_pair_is_named_or_left_out(tmp_path, case):
    _spoil(write_pairs(tmp_path), case)
    with pytest.raises(UserError, match=SPOILT[case]):
        converted(tmp_path)
    assert not (tmp_path / "out").exists()
    (report,) = converted(tmp_path, skip_bad=True)
    assert sorted(read_masks(report)) == ["0", "2"]
    ((reason, count),) = report.skipped.items()
    assert count == 1 and "left out" in reason and "/1." in reason


def test_masks_in_black_and_white(tmp_path):
    write_pairs(tmp_path)
    for k in range(3):
        save(
            tmp_path / "labels" / f"{k}.png", np.where(picture(k)[1] == 3, 255, 0).astype(np.uint8)
        )
    with pytest.raises(UserError, match="class 0 and nothing else .* `palette`"):
        converted(tmp_path)


def test_folders_that_cannot_be_read(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="masks_dir: .*empty has no pictures"):
        folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "empty"))
    with pytest.raises(UserError, match="images_dir: .*absent is not a folder"):
        folders.find_pairs(str(tmp_path / "absent"), str(tmp_path / "labels"))
    save(tmp_path / "images" / "1.jpg", picture(1)[0])
    with pytest.raises(UserError, match="1.jpg and .*1.png differ only in their extension"):
        folders.find_pairs(str(tmp_path / "images"), str(tmp_path / "labels"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 0 0 sky\n0 0 300 road\n", "line 2: expected R G B .* got '0 0 300 road'"),
        ("0 0 0 sky\n0 0 0 road\n", "line 2: the colour .* twice"),
        ("0 0 0 sky\n1 1 1\n", "names some of its colours"),
        ("\n", "has no colours"),
    ],
)
def test_bad_palettes(tmp_path, content, message):
    (tmp_path / "palette.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        mask_files.read_palette(str(tmp_path / "palette.txt"))


def test_names_of_classes_stand_beside_the_records(tmp_path):
    converted(write_pairs(tmp_path))
    assert json.loads((tmp_path / "out" / "labels.json").read_text())["0"] == "sky"
