"""Predictions for the test servers: their values, names and folders."""

import keras
import numpy as np
import pytest
from PIL import Image

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.segmentation.results import listed_photos, of_photos, write_results
from efficientvision.tasks.segmentation.training_task import SegmentationTrainingTask

HW = (8, 16)


def column_network(num_classes, classes):
    """Says of each column of the image the same class, whatever it sees."""
    images = keras.Input((*HW, 3))
    hot = np.eye(num_classes, dtype="float32")[np.resize(classes, HW[1])]
    return keras.Model(images, keras.ops.sum(images, -1, keepdims=True) * 0.0 + hot)


@pytest.fixture
def photos(tmp_path):
    for name in ("ulm_000000_000019_leftImg8bit.png", "2008_000001.jpg"):
        Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def written(pattern, folder, dataset, num_classes, classes, **options):
    asked = RunOptions(val_file_pattern=str(pattern), testdev_dir=str(folder))
    values = {"num_classes": num_classes, "image_size": HW, **options}
    config = get_config("espnetv2_s_0.5", values, task="segmentation")
    names = BUILTIN_OF_MASKS.get(dataset) or {0: "a", 1: "b"}
    write_results(
        asked,
        SegmentationTrainingTask(config, class_names=names),
        column_network(num_classes, classes),
    )
    (path,) = folder.rglob("*.png")
    with Image.open(path) as image:
        return str(path.relative_to(folder)), image.mode, np.asarray(image)


def test_cityscapes_gets_the_ids_of_its_labels(photos, tmp_path):
    """The published networks have a 20th class, whose pixels are unlabelled."""
    name, mode, values = written(
        f"{photos}/*.png", tmp_path / "out", "cityscapes", 20, [0, 10, 18, 19]
    )
    assert (name, mode) == ("ulm_000000_000019_leftImg8bit.png", "L")
    assert values.shape == (16, 32)
    # Each column of the network is two of the photo's.
    assert values[0].tolist() == 4 * [7, 7, 23, 23, 33, 33, 0, 0]


@pytest.mark.parametrize("split", ["val", "test"])
def test_voc_gets_classes_with_its_palette(photos, tmp_path, split):
    place = tmp_path / split
    place.mkdir()
    (photos / "2008_000001.jpg").rename(place / "2008_000001.jpg")
    name, mode, values = written(f"{place}/*.jpg", tmp_path / "out", "voc", 21, [0, 15])
    assert name == f"results/VOC2012/Segmentation/comp6_{split}_cls/2008_000001.png"
    assert mode == "P" and set(np.unique(values)) == {0, 15}


def test_classes_of_the_records_are_written(photos, tmp_path):
    _, mode, values = written(
        f"{photos}/*.png", tmp_path / "out", "own", 2, [0, 1], class_map={0: 3, 1: 2}
    )
    assert mode == "P" and values[0].tolist() == 8 * [3, 3, 2, 2]


def test_vocs_lists(tmp_path):
    for place, line in (("ImageSets/Segmentation", "2008_1"), ("list", "/JPEGImages/2008_1.jpg x")):
        path = tmp_path / "VOC2012" / place / "test.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"{line}\n\n")
        assert listed_photos(str(path)) == [f"{tmp_path}/VOC2012/JPEGImages/2008_1.jpg"]
        assert of_photos(RunOptions(testdev_dir="a", val_file_pattern=str(path)))


def test_two_photos_of_one_name(photos, tmp_path):
    for name, photo in zip("ab", sorted(photos.iterdir()), strict=True):
        (photos / name).mkdir()
        photo.rename(photos / name / "ulm.png")
    with pytest.raises(UserError, match="Two images are named ulm"):
        written(f"{photos}/*/*.png", tmp_path / "out", "cityscapes", 19, [0])
