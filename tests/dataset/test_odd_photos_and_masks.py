"""The scripts for class folders and masks on what people really have: counted, or one sentence."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from efficientvision.data.record_files import count_records, match_files
from tests.made_mask_files import save
from tests.programs import dataset_program, error_line

PHOTO = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)


def records(pattern) -> int:
    return sum(count_records(match_files(str(pattern))))


def classes(folder, *words):
    return dataset_program(
        "create_imagenet_tfrecord.py", *words, "--num_shards=1", "--num_threads=1", folder=folder
    )


def masks(folder, *words):
    return dataset_program(
        "create_segmentation_tfrecord.py", *words, "--num_shards=1", "--num_threads=1",
        folder=folder,
    )  # fmt: skip


@pytest.fixture
def photos(tmp_path):
    """`my set [2], b` with Train, valid, test and raw; a hidden copy, a HEIC and a spoilt photo."""
    root = tmp_path / "my set [2], b"
    for part in ("Train", "valid", "test"):
        for name in ("cat", "dog"):
            for k in range(2):
                save(root / part / name / f"{k}.png", PHOTO)
    save(root / "raw" / "0.png", PHOTO)
    save(root / "Train" / ".ipynb_checkpoints" / "0.png", PHOTO)
    (root / "Train" / "cat" / "2.heic").write_bytes(b"")
    (root / "Train" / "cat" / "3.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def test_class_folders(tmp_path, photos):
    words = (f"--data_dir={photos.name}", f"--output_dir={photos.name}/tfrecord")
    line = error_line(classes(tmp_path, *words))
    assert "Train/cat/3.jpg is not a picture" in line and "skip_bad" in line
    assert not (photos / "tfrecord").exists()
    done = classes(tmp_path, *words, "--skip_bad")
    assert done.code == 0, done.stderr[-2000:]
    for line in (
        "4 images, 4 labels, 2 classes",
        "left out: my set [2], b/Train/cat/3.jpg is not a picture",
        "1 images left out, as they cannot be used",
        "1 .heic files left out (first: my set [2], b/Train/cat/2.heic)",
        "1 hidden files and folders left out",
        "1 pictures of raw/, which is not a part, left out",
    ):
        assert line in done.stdout
    assert [records(photos / "tfrecord" / f"{part}*") for part in ("train", "val", "test")] == [
        4
    ] * 3
    assert json.loads((photos / "tfrecord" / "labels.json").read_text()) == {"1": "cat", "2": "dog"}


def test_a_val_part_that_is_there(tmp_path, photos):
    words = (f"--data_dir={photos.name}", "--output_dir=out", "--val_fraction=0.5")
    assert "the data already has one" in error_line(classes(tmp_path, *words))


def test_a_training_part_that_is_missing(tmp_path, photos):
    (photos / "Train").rename(tmp_path / "elsewhere")
    (photos / "valid").rename(tmp_path / "valid")
    (photos / "raw").rename(tmp_path / "raw")
    done = classes(tmp_path, f"--data_dir={photos.name}", "--output_dir=out", "--val_fraction=0.5")
    assert "--val_fraction needs a train part to split, but there is none" in error_line(done)


@pytest.fixture
def pairs(tmp_path):
    """`images/<k>.png` and `masks/<k>_mask.png`: white discs on black with soft edges."""
    large = Image.new("L", (32 * 8, 24 * 8))
    ImageDraw.Draw(large).ellipse((64, 48, 191, 143), fill=255)
    disc = np.asarray(large.resize((32, 24), Image.Resampling.BILINEAR))
    for k in range(4):
        save(tmp_path / "images" / f"{k}.png", PHOTO)
        save(tmp_path / "masks" / f"{k}_mask.png", disc)
    (tmp_path / "palette.txt").write_bytes(b"\xef\xbb\xbf0 0 0 background\r\n255 255 255 disc\r\n")
    return "--images_dir=images", "--masks_dir=masks", "--output_dir=out"


def test_masks_in_black_and_white(tmp_path, pairs):
    """The sentence says what helps, and that helps."""
    line = error_line(masks(tmp_path, *pairs))
    assert "which look like greys" in line and "--palette" in line
    done = masks(tmp_path, *pairs, "--palette=palette.txt", "--val_fraction=0.25")
    assert done.code == 0, done.stderr[-2000:]
    assert (
        "mask pixels between the palette's colours, given the class of the nearest" in done.stdout
    )
    assert "--mask_suffix=_mask" in done.stdout
    assert [records(tmp_path / "out" / f"{part}*") for part in ("train", "val")] == [3, 1]


def test_flags_of_palettes(tmp_path, pairs):
    strict = masks(tmp_path, *pairs, "--palette=palette.txt", "--palette_tolerance=0")
    assert "4 pairs are spoilt" in error_line(strict)
    assert strict.stderr.count("which the palette lacks") == 4
    without = masks(tmp_path, *pairs, "--palette_tolerance=9")
    assert "--palette_tolerance needs --palette" in error_line(without)
    both = masks(tmp_path, *pairs, "--palette=palette.txt", "--ignore_palettes")
    assert "--ignore_palettes is for masks of labels" in error_line(both)


def test_palettes_that_differ(tmp_path, pairs):
    for k, color in enumerate([(255, 0, 0), (255, 0, 0), (255, 0, 0), (0, 255, 0)]):
        indices = (np.arange(24 * 32).reshape(24, 32) < 300).astype(np.uint8)
        save(tmp_path / "masks" / f"{k}_mask.png", indices, [0, 0, 0, *color])
    line = error_line(masks(tmp_path, *pairs))
    assert "masks/3_mask.png has another palette" in line and "--ignore_palettes" in line
    done = masks(tmp_path, *pairs, "--ignore_palettes")
    assert done.code == 0 and records(tmp_path / "out" / "train*") == 4


def test_white_that_is_no_class(tmp_path, pairs):
    """255 on most of the pixels, once it is said that this is meant."""
    mask = np.full((24, 32), 255, np.uint8)
    mask[0], mask[1, 0] = 0, 1
    for k in range(4):
        save(tmp_path / "masks" / f"{k}_mask.png", mask)
    assert "If 255 means no class, set --ignore_label=255" in error_line(masks(tmp_path, *pairs))
    assert masks(tmp_path, *pairs, "--ignore_label=255").code == 0


def test_large_images(tmp_path, pairs):
    line = error_line(masks(tmp_path, *pairs, "--palette=palette.txt", "--max_pixels=700"))
    assert "4 pairs are spoilt" in line
    assert masks(tmp_path, *pairs, "--palette=palette.txt", "--max_pixels=0").code == 0
