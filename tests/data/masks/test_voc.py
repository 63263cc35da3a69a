"""PASCAL VOC's folder, alone and with the masks of SBD."""

import numpy as np
import pytest

from efficientvision.data.masks import convert, voc
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save
from tests.made_mask_records import picture

# The first colours of VOC's palette; its PNGs hold indices, and 255 at the edge of an object.
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * 756


@pytest.fixture
def root(tmp_path):
    """Images 0 to 4: 0 and 1 in train, 2 in val; 3 and 4 have masks of SBD only."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for k in range(5):
        image, mask = picture(k)
        save(root / "JPEGImages" / f"{k}.jpg", image)
        folder = "SegmentationClass" if k < 3 else "SegmentationClassAug"
        mask = np.where(mask == 3, 255, mask).astype(np.uint8)
        save(root / folder / f"{k}.png", mask, PALETTE if k < 3 else None)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n")
    (lists / "val.txt").write_text("2\n")
    return root


def converted(root, augmented=None):
    found = voc.find(str(root), augmented)
    out = str(root / "out")
    train, val = convert.convert(found, out, voc.READER, voc.LABELS, num_workers=1)
    return read_masks(train), read_masks(val)


def expected(k):
    mask = picture(k)[1]
    return np.where(mask == 3, 255, mask)


def test_the_lists_of_segmentation(root):
    train, val = converted(root)
    assert sorted(train) == ["0", "1"] and sorted(val) == ["2"]
    for name, mask in (train | val).items():
        np.testing.assert_array_equal(mask, expected(int(name)))


def test_the_list_of_sbd(root):
    (root / "list").mkdir()
    lines = [f"/JPEGImages/{k}.jpg /SegmentationClassAug/{k}.png" for k in (3, 4)]
    (root / "list" / "train_aug.txt").write_text("\n".join(lines))
    train, val = converted(root)
    assert sorted(train) == ["3", "4"] and sorted(val) == ["2"]
    np.testing.assert_array_equal(train["4"], expected(4))
    assert sorted(converted(root, augmented=False)[0]) == ["0", "1"]


def test_a_listed_image_that_is_missing(root):
    (root / "JPEGImages" / "1.jpg").unlink()
    with pytest.raises(UserError, match="1 is in the list of train, but there is no .*/1.jpg"):
        converted(root)


def test_another_folder(tmp_path):
    with pytest.raises(UserError, match="VOCdevkit/VOC2012"):
        voc.find(str(tmp_path))


def test_lists_of_other_names_are_named(root):
    lists = root / "ImageSets" / "Segmentation"
    (lists / "val.txt").unlink()
    (lists / "train.txt").rename(lists / "default.txt")
    with pytest.raises(UserError, match="has default.txt, but .* copy default.txt to train.txt"):
        voc.find(str(root))


def test_lines_that_repeat_another_are_counted(root):
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n0\n0\n")
    found = voc.find(str(root), augmented=False)
    assert [pair.source_id for pair in found.parts["train"]] == ["0", "1"]
    assert list(found.left_out.counted().values()) == [2]
