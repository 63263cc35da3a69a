"""Cityscapes' folders; its ids become the classes of the benchmark."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.data.masks import cityscapes, convert
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets"
HEIGHT, WIDTH = 8, 16


def _write(root, annotation, folder, name, kind, mask):
    city = name.split("_")[0]
    image = np.full((*mask.shape, 3), 90, np.uint8)
    save(root / "leftImg8bit" / folder / city / f"{name}_leftImg8bit.png", image)
    if annotation:
        save(root / annotation / folder / city / f"{name}_{annotation}_{kind}.png", mask)


@pytest.fixture
def ids():
    """Every id 0..33 somewhere, and 255."""
    values = np.arange(HEIGHT * WIDTH) % 35
    return np.where(values == 34, 255, values).astype(np.uint8).reshape(HEIGHT, WIDTH)


@pytest.fixture
def root(tmp_path, ids):
    train_ids = (ids % 20).astype(np.uint8)
    _write(tmp_path, "gtFine", "train", "aachen_000000_000019", "labelIds", ids)
    _write(tmp_path, "gtFine", "val", "lindau_000000_000019", "labelTrainIds", train_ids)
    _write(tmp_path, None, "test", "berlin_000000_000019", "", ids)
    _write(tmp_path, "gtCoarse", "train_extra", "bayreuth_000000_000019", "labelIds", ids)
    return tmp_path


def converted(root, **options):
    found = cityscapes.find(str(root), **options)
    reports = convert.convert(
        found, str(root / "out"), cityscapes.READER, cityscapes.LABELS, num_workers=1
    )
    return {name: mask for report in reports for name, mask in read_masks(report).items()}


def test_ids_become_train_ids(root, ids):
    """The official mapping."""
    official = json.loads((GOLDENS / "dataset_facts.json").read_text())["cityscapes_id_to_trainId"]
    masks = converted(root)
    assert sorted(masks) == [
        "aachen_000000_000019_leftImg8bit",
        "lindau_000000_000019_leftImg8bit",
    ]
    table = np.array([official.get(str(k), 255) for k in range(256)])
    np.testing.assert_array_equal(masks["aachen_000000_000019_leftImg8bit"], table[ids])
    expected = np.where(ids % 20 == 19, 255, ids % 20)
    np.testing.assert_array_equal(masks["lindau_000000_000019_leftImg8bit"], expected)
    assert cityscapes.has_test(str(root))


def test_coarse_masks_on_request(root):
    assert len(converted(root, coarse=True)) == 3
    with pytest.raises(UserError, match="`coarse`: .*train_extra is not a folder"):
        (root / "leftImg8bit" / "train_extra").rename(root / "elsewhere")
        cityscapes.find(str(root), coarse=True)


def test_an_image_without_labels(root):
    (root / "gtFine" / "train" / "aachen" / "aachen_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(UserError, match="aachen_000000_000019_leftImg8bit.png has no mask"):
        converted(root)


def test_an_id_that_does_not_exist(root):
    path = "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    save(root / path, np.full((HEIGHT, WIDTH), 40, np.uint8))
    with pytest.raises(UserError, match="has label 40"):
        converted(root)


def test_another_folder(tmp_path):
    with pytest.raises(UserError, match="neither leftImg8bit/train nor leftImg8bit/val"):
        cityscapes.find(str(tmp_path))
