"""The scripts of dataset/, run as the README says."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.record_files import count_records, match_files
from tests.made_mask_files import write_pairs
from tests.programs import dataset_program, error_line, in_a_process

INFO = "annotations/image_info_test-dev2017.json"


@pytest.fixture
def run(tmp_path):
    """Runs `python dataset/<script>` with flags, in a folder of its own."""

    def call(script, *flags):
        # Workers would be forked from a process that has begun to compute.
        alone = ["--num_threads=1"] if script.startswith("create_") else []
        return dataset_program(script, *alone, *flags, folder=tmp_path)

    return call


@pytest.fixture
def voc(tmp_path):
    """A VOC2012 folder of three images, one of them without objects."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for k, count in enumerate((1, 0, 2)):
        Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save(root / f"JPEGImages/{k}.jpg")
        box = "<xmin>5</xmin><ymin>5</ymin><xmax>40</xmax><ymax>45</ymax>"
        thing = f"<object><name>dog</name><bndbox>{box}</bndbox></object>"
        text = f"<annotation><filename>{k}.jpg</filename>{thing * count}</annotation>"
        (root / f"Annotations/{k}.xml").write_text(text)
    (root / "ImageSets/Main/aeroplane_train.txt").write_text("0 -1\n1 -1\n2 1\n")
    return root


def test_pascal_then_inspect(run, voc, tmp_path):
    result = run(
        "create_pascal_tfrecord.py", "--data_dir=VOCdevkit", "--year=VOC2012",
        "--output_path=tfrecord/pascal",
    )  # fmt: skip
    assert result.code == 0, result.stderr
    assert "3 images, 3 boxes, 20 classes -> 3 shards" in result.stdout
    assert sorted(os.listdir(tmp_path / "tfrecord")) == [
        "json_pascal.json",
        "labels.json",
        *(f"pascal-0000{k}-of-00003.tfrecord" for k in range(3)),
    ]
    result = run(
        "inspect_tfrecords.py", "--file_pattern=tfrecord/pascal*.tfrecord", "--eval",
        "--hparams=num_classes=20,image_size=128x96", "--save_samples_dir=seen",
    )  # fmt: skip
    assert result.code == 0, result.stderr
    assert "3, 1 of them without objects" in result.stdout and "none found" in result.stdout
    assert sorted(os.listdir(tmp_path / "seen")) == [
        "contact_sheet.jpg", "sample0.jpg", "sample1.jpg",
    ]  # fmt: skip
    sample = np.asarray(Image.open(tmp_path / "seen" / "sample0.jpg"))
    assert sample.shape == (96, 128, 3) and sample.std() > 10


def test_class_outside_the_label_map(run, voc, tmp_path):
    (tmp_path / "map.json").write_text('{"cat": 1}')
    result = run(
        "create_pascal_tfrecord.py", "--data_dir=VOCdevkit", "--year=VOC2012",
        "--output_path=tfrecord/pascal", "--label_map_json_path=map.json",
    )  # fmt: skip
    line = error_line(result)
    assert "0.xml" in line and "'dog'" in line
    assert not (tmp_path / "tfrecord").exists()


def test_captions_alone(run, tmp_path):
    """The README's command for val2017."""
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "val2017" / "1.jpg")
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 8, "width": 8}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "night"}],
    }
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    flags = [
        "--image_dir=val2017", "--output_file_prefix=tfrecord/val", "--num_shards=32",
        "--caption_annotations_file=annotations/captions_val2017.json",
    ]  # fmt: skip
    result = run("create_coco_tfrecord.py", *flags)
    assert result.code == 0, result.stderr
    assert os.listdir(tmp_path / "tfrecord") == ["val-00000-of-00001.tfrecord"]
    os.remove(tmp_path / "val2017" / "1.jpg")
    done = in_a_process("dataset/create_coco_tfrecord.py", *flags, folder=tmp_path)
    assert done.code == 1 and "1.jpg" in error_line(done)


@pytest.fixture
def testdev_flags(tmp_path):
    """What stands for COCO's test2017: two photos and their info file; returns the flags."""
    (tmp_path / "test2017").mkdir()
    (tmp_path / "annotations").mkdir()
    images = [
        {"id": 10 + k, "file_name": f"{k}.jpg", "height": 8, "width": 8, "coco_url": ""}
        for k in range(2)
    ]
    for image in images:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
            tmp_path / "test2017" / image["file_name"]
        )
    content = {"info": {}, "images": images, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / INFO).write_text(json.dumps(content))
    return [
        "--image_dir=test2017", f"--image_info_file={INFO}", "--num_shards=32",
        "--output_file_prefix=tfrecord/testdev",
    ]  # fmt: skip


def test_test_dev_and_its_bad_inputs(run, testdev_flags, tmp_path):
    result = run("create_coco_tfrecord.py", *testdev_flags)
    assert result.code == 0, result.stderr
    assert "2 images, 0 boxes" in result.stdout
    shards = [f"testdev-0000{k}-of-00002.tfrecord" for k in range(2)]
    assert sorted(os.listdir(tmp_path / "tfrecord")) == shards
    for path in (tmp_path / "tfrecord").iterdir():
        path.unlink()
    (tmp_path / "test2017" / "1.jpg").write_bytes(b"")
    line = error_line(run("create_coco_tfrecord.py", *testdev_flags))
    assert "test2017/1.jpg' is empty (0 bytes)" in line
    assert os.listdir(tmp_path / "tfrecord") == []
    (tmp_path / INFO).unlink()
    line = error_line(run("create_coco_tfrecord.py", *testdev_flags))
    assert f"Cannot read {INFO}: No such file" in line


def test_results_are_checked(run, testdev_flags, tmp_path):
    entry = {"category_id": 1, "bbox": [0.0, 0.0, 4.0, 4.0], "score": 0.5}
    results = [{"image_id": image_id, **entry} for image_id in (10, 11)]
    path = tmp_path / "results.json"
    flags = ["--results_file=results.json", f"--image_info_file={INFO}"]
    path.write_text(json.dumps(results))
    result = run("check_coco_results.py", *flags)
    assert result.code == 0 and "2 detections in 2 images" in result.stdout, result.stderr
    path.write_text(json.dumps(results[:1]))
    assert "1 of 2 images of" in error_line(run("check_coco_results.py", *flags))


@pytest.mark.parametrize(
    "script",
    [
        "create_pascal_tfrecord.py",
        "create_coco_tfrecord.py",
        "create_segmentation_tfrecord.py",
        "create_yolo_tfrecord.py",
        "create_csv_tfrecord.py",
        "inspect_tfrecords.py",
        "check_coco_results.py",
    ],
)
def test_without_flags_and_with_help(run, script):
    assert "--help" in error_line(run(script))
    result = run(script, "--help")
    assert result.code == 0 and f"python dataset/{script}" in result.stdout


def test_folders_of_classes(run, tmp_path):
    """As the README writes it: class folders, a share held out, records and names beside them."""
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(5):
            pixels = np.full((20, 30, 3), 40 * k, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{k}.png")
    words = ("--data_dir=photos", "--output_dir=out", "--val_fraction=0.2", "--num_shards=2")
    done = run("create_imagenet_tfrecord.py", *words)
    assert done.code == 0, done.stderr[-2000:]
    assert "8 images, 8 labels, 2 classes -> 2 shards" in done.stdout
    assert sum(count_records(match_files(str(tmp_path / "out" / "val-*.tfrecord")))) == 2
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == {"1": "ant", "2": "bee"}
    (tmp_path / "photos" / "bee" / "3.png").write_bytes(b"no picture")
    done = run("create_imagenet_tfrecord.py", *words)
    assert done.code == 1 and "bee/3.png is not a picture" in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_of_masks_then_inspect(run, tmp_path):
    """As the README writes it: two folders, a label that is no class, a share held out."""
    write_pairs(tmp_path / "own", 5)
    (tmp_path / "own" / "classes.txt").write_text("sky\nroad\ntree\n")
    words = (
        "--images_dir=own/images", "--masks_dir=own/labels", "--class_names=own/classes.txt",
        "--val_fraction=0.2", "--output_dir=own/tfrecord", "--num_shards=2", "--ignore_label=3",
    )  # fmt: skip
    done = run("create_segmentation_tfrecord.py", *words)
    assert done.code == 0, done.stderr[-2000:]
    assert "4 images, " in done.stdout
    assert "3 classes -> 2 shards own/tfrecord/train-" in done.stdout
    assert sum(count_records(match_files(str(tmp_path / "own/tfrecord/val-*")))) == 1
    seen = run(
        "inspect_tfrecords.py", "--file_pattern=own/tfrecord/train*", "--save_samples_dir=seen",
        "--hparams=image_size=96x64", "--samples=3",
    )  # fmt: skip
    assert seen.code == 0, seen.stderr[-2000:]
    assert "2 tree" in seen.stdout and "none found" in seen.stdout
    assert len(os.listdir(tmp_path / "seen")) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--voc_dir=a", "--cityscapes_dir=b"], "--voc_dir and --cityscapes_dir are two sources"),
        (["--voc_dir=a", "--palette=b"], "--palette does not apply to --voc_dir"),
        (["--images_dir=a"], "--images_dir needs --masks_dir"),
        (["--coco_images=a"], "--coco_images needs --coco_annotations"),
        (["--voc_dir=absent"], "--voc_dir=absent is not a folder"),
    ],
)
def test_flags_of_masks_that_make_no_sense(run, words, sentence):
    result = run("create_segmentation_tfrecord.py", "--output_dir=out", *words)
    assert sentence in error_line(result)
