"""The commands of the original READMEs, typed as they are written there.

Each runs in a folder that holds what the README's reader has: the checkpoints, a picture, the data
sets, a `voc_config.yaml`. Only the number of images to train on is smaller, and `/tmp` is a folder
of the test. One command of each program is typed into a shell; the others are called here.
"""

import contextlib
import functools
import io
import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools.coco import COCO

from demo.make_shapes import make_scene
from efficientvision.api import build_model
from efficientvision.data.labels import BUILTIN
from efficientvision.training.checkpoints import latest_checkpoint, step_of
from efficientvision.weights.identify import identify
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.conftest import REPOSITORY
from tests.goldens.fill import fill
from tests.programs import Done, dataset_program, inspect, train_program
from tests.video.made_video import Sound, read_video, write_video

pytestmark = pytest.mark.slow

VOC_CONFIG = """num_classes: 20
image_size: 128
moving_average_decay: 0
var_freeze_expr: '(efficientnet|fpn_cells|resample_p6)'
label_map: {1: circle, 2: square, 3: triangle, 4: star, 5: cross}
"""
TRAINING = (
    "python main.py --mode=train_and_eval --training_file_pattern=tfrecord/pascal*.tfrecord"
    " --validation_file_pattern=tfrecord/pascal*.tfrecord --val_json_file=tfrecord/json_pascal.json"
    " --model_name=efficientdet-d0 --model_dir=/tmp/{run} {start} --train_batch_size=8"
    " --eval_batch_size=8 --eval_samples=512 --num_examples_per_epoch=16 --num_epochs=1"
    " --hparams={hparams} --use_tpu=False"
)


def write_published(folder, model):
    """A TF1 checkpoint whose detections are nonsense, but many."""
    values = {n: fill(n, v.shape) for n, v in published_variables(model).items()}
    for name in values:
        if name.endswith("-predict/pointwise_kernel"):
            values[name] *= 0.02
    write_tf1_checkpoint(folder / "model", values)


def write_data_sets(folder, number=16):
    """A VOCdevkit/VOC2012 and a val2017 with its annotations, of the same pictures."""
    voc = folder / "VOCdevkit" / "VOC2012"
    for sub in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (voc / sub).mkdir(parents=True)
    (folder / "val2017").mkdir()
    images, annotations, captions, names = [], [], [], []
    for index in range(1, number + 1):
        scene = make_scene(np.random.default_rng(index), (240, 320))
        name = f"{index:06d}"
        names.append(name)
        for target in (voc / "JPEGImages", folder / "val2017"):
            Image.fromarray(scene.image).save(target / f"{name}.jpg")
        images.append({"id": index, "file_name": f"{name}.jpg", "height": 240, "width": 320})
        captions.append({"id": index, "image_id": index, "caption": "shapes"})
        objects = []
        for ymin, xmin, ymax, xmax in scene.boxes_yxyx:
            objects.append(
                "<object><name>circle</name><bndbox>"
                f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
                "</bndbox></object>"
            )
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": 1,
                    "bbox": [int(xmin), int(ymin), int(xmax - xmin), int(ymax - ymin)],
                    "area": int((xmax - xmin) * (ymax - ymin)),
                    "iscrowd": 0,
                }
            )
        (voc / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>320</width>"
            f"<height>240</height><depth>3</depth></size>{''.join(objects)}</annotation>"
        )
    (voc / "ImageSets" / "Main" / "aeroplane_train.txt").write_text(
        "\n".join(f"{name}  1" for name in names)
    )
    (folder / "annotations").mkdir()
    categories = [{"id": 1, "name": "person"}]
    for kind, entries in (("instances", annotations), ("captions", captions)):
        content = {"images": images, "annotations": entries, "categories": categories}
        (folder / "annotations" / f"{kind}_val2017.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Kind of fusion -> the folder of the README's reader, with checkpoints of that kind."""

    @functools.cache
    def place(fpn_name):
        folder = tmp_path_factory.mktemp(fpn_name)
        for name in ("main.py", "model_inspect.py", "dataset", "efficientvision", "hparams"):
            (folder / name).symlink_to(REPOSITORY / name)
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(sys.executable)
        (folder / "tmp").mkdir()
        write_published(
            folder / "efficientdet-d0",
            build_model("efficientdet-d0", fpn_name=fpn_name, image_size=128),
        )
        write_published(folder / "efficientnet-b0", build_model("efficientnet-b0"))
        (folder / "voc_config.yaml").write_text(VOC_CONFIG)
        scene = make_scene(np.random.default_rng(0), (480, 640))
        Image.fromarray(scene.image).save(folder / "img.png")
        write_data_sets(folder)
        return folder

    return place


@pytest.fixture
def place(places):
    """The folder, with the checkpoints that most have."""
    return places("bifpn")


NAMED = {"MODEL": "efficientdet-d0", "CKPT_PATH": "efficientdet-d0"}


def type_in(place, command):
    """Types a command into a shell in the folder; returns what it printed."""
    environment = {
        **os.environ,
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        # A link to the interpreter does not find its packages by itself.
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        **NAMED,
    }
    done = subprocess.run(
        ["bash", "-c", command.replace("/tmp/", f"{place / 'tmp'}/")],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return printed_by(Done(done.returncode, done.stdout, done.stderr))


def run(place, command):
    """Calls a command's program in the folder, without a shell; returns what it printed."""
    text = command.replace("/tmp/", f"{place / 'tmp'}/").replace("$PYTHONPATH", "")
    words = shlex.split(string.Template(text).substitute(NAMED))
    script, *flags = words[words.index("python") + 1 :]
    if script.startswith("dataset/"):
        # Workers would be forked from a process that has begun to compute.
        script = script.removeprefix("dataset/")
        return printed_by(dataset_program(script, *flags, "--num_threads=1", folder=place))
    with contextlib.chdir(place):
        if script == "main.py":
            return printed_by(train_program(*flags))
        assert script == "model_inspect.py"
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = inspect(*flags)
    return printed_by(Done(code, output.getvalue(), ""))


def printed_by(done):
    assert done.code == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def assert_picture_with_boxes(place):
    picture = np.asarray(Image.open(place / "tmp" / "0.jpg")).astype(int)
    original = np.asarray(Image.open(place / "img.png").convert("RGB")).astype(int)
    assert picture.shape == original.shape
    assert 0.005 < (np.abs(picture - original).max(axis=-1) > 60).mean() < 0.95
    (place / "tmp" / "0.jpg").unlink()


def final_step(place, run_name):
    return step_of(latest_checkpoint(place / "tmp" / run_name))


def test_bm(place):
    printed = run(place, "python model_inspect.py --runmode=bm --model_name=efficientdet-d0")
    assert re.search(r"Per batch inference time: +[\d.]+", printed)
    assert re.search(r"FPS: +[\d.]+", printed)


@pytest.mark.parametrize("fpn_name", ["bifpn", "vfpn"])
def test_ckpt(places, fpn_name):
    printed = (type_in if fpn_name == "bifpn" else run)(
        places(fpn_name),
        "python model_inspect.py --input_image_size=512 --runmode=ckpt --model_name=$MODEL"
        " --ckpt_path=$MODEL",
    )
    assert fpn_name in printed
    assert "missing" in printed


def test_saved_model_and_its_inference(place):
    shared = "--model_name=efficientdet-d0 --ckpt_path=efficientdet-d0"
    size = '--hparams="image_size=1920x1280" --saved_model_dir=/tmp/saved_model'
    run(place, f"python model_inspect.py --runmode=saved_model {shared} {size}")
    folder = place / "tmp" / "saved_model"
    assert (folder / "efficientdet-d0_frozen.pb").is_file()
    signatures = tf.saved_model.load(str(folder)).signatures
    inputs = signatures["serving_default"].structured_input_signature[1]
    assert inputs["image_arrays"].dtype == tf.uint8
    assert set(signatures["serving_default"].structured_outputs) == {"detections"}
    run(
        place,
        f"python model_inspect.py --runmode=saved_model_infer {shared} {size}"
        " --input_image=img.png --output_image_dir=/tmp/",
    )
    assert_picture_with_boxes(place)


def test_video(place):
    write_video(place / "input.mov", frames=6, size_hw=(240, 320), sound=Sound())
    shared = (
        "python model_inspect.py --runmode=saved_model_video --model_name=efficientdet-d0"
        " --ckpt_path=efficientdet-d0 --saved_model_dir=/tmp/savedmodel --input_video=input.mov"
    )
    # Once with the checkpoint, once with the model that was exported from it.
    printed = run(place, shared)
    assert "No exported model" in printed and "Live at http://127.0.0.1:" in printed
    run(
        place,
        "python model_inspect.py --runmode=saved_model --model_name=efficientdet-d0"
        " --ckpt_path=efficientdet-d0 --saved_model_dir=/tmp/savedmodel",
    )
    printed = run(place, f"{shared} --output_video=output.mov")
    assert "Using the exported model" in printed and "6 frames in" in printed
    before, after = read_video(place / "input.mov"), read_video(place / "output.mov")
    assert len(after.pictures) == 6 and after.sound == before.sound
    changed = np.abs(after.pictures[3].astype(int) - before.pictures[3]).max(axis=-1) > 60
    assert 0.005 < changed.mean() < 0.95


def test_infer_with_a_configuration_of_ones_own(place):
    # The reader of this README has trained: the checkpoint has the configuration's 20 classes.
    fusion = identify(place / "efficientdet-d0").fpn_name
    kept = place / "published"
    shutil.move(place / "efficientdet-d0", kept)
    try:
        write_published(
            place / "efficientdet-d0",
            build_model("efficientdet-d0", fpn_name=fusion, image_size=128, num_classes=20),
        )
        run(
            place,
            "python model_inspect.py --runmode=infer --model_name=efficientdet-d0"
            " --ckpt_path=efficientdet-d0 --hparams=voc_config.yaml --input_image=img.png"
            " --output_image_dir=/tmp/",
        )
    finally:
        shutil.rmtree(place / "efficientdet-d0")
        shutil.move(kept, place / "efficientdet-d0")
    assert_picture_with_boxes(place)


def test_coco_records_and_evaluation(place):
    type_in(
        place,
        'PYTHONPATH=".:$PYTHONPATH" python dataset/create_coco_tfrecord.py --image_dir=val2017'
        " --caption_annotations_file=annotations/captions_val2017.json"
        " --output_file_prefix=tfrecord/val --num_shards=32",
    )
    shards = sorted((place / "tfrecord").glob("val-*.tfrecord"))
    assert sum(1 for _ in tf.data.TFRecordDataset([str(s) for s in shards])) == 16
    printed = type_in(
        place,
        "python main.py --mode=eval --model_name=${MODEL} --model_dir=${CKPT_PATH}"
        " --validation_file_pattern=tfrecord/val*"
        " --val_json_file=annotations/instances_val2017.json --use_tpu=False",
    )
    assert re.search(r"\bAP50\b", printed)


def test_test_dev(place):
    """A small set stands for test2017: `eval_samples` is far above what there is."""
    photos = place / "test2017"
    if not photos.exists():
        photos.symlink_to(place / "val2017")
    images = json.loads((place / "annotations" / "captions_val2017.json").read_text())["images"][:6]
    # 80 of the head's 90 classes: what the others give is no result.
    categories = [{"id": i, "name": name} for i, name in BUILTIN["coco"].items()]
    info = place / "annotations" / "image_info_test-dev2017.json"
    info.write_text(json.dumps({"info": {}, "images": images, "categories": categories}))
    run(
        place,
        'PYTHONPATH=".:$PYTHONPATH" python dataset/create_coco_tfrecord.py --image_dir=test2017'
        " --image_info_file=annotations/image_info_test-dev2017.json"
        " --output_file_prefix=tfrecord/testdev --num_shards=32",
    )
    command = (
        "python main.py --mode=eval --model_name=${MODEL} --model_dir=${CKPT_PATH}"
        " --validation_file_pattern=tfrecord/testdev* --testdev_dir='testdev_output'"
        " --eval_samples=20288 --use_tpu=False"
    )
    printed = run(place, command)
    assert "--eval_samples=20288, but only 6 images exist: evaluating all." in printed
    path = place / "testdev_output" / "detections_test-dev2017_test_results.json"
    rows = json.loads(path.read_text())
    assert {row["image_id"] for row in rows} == {image["id"] for image in images}
    assert {row["category_id"] for row in rows} <= set(BUILTIN["coco"])
    path.unlink()
    printed = run(place, f"{command} --testdev_info_file={info.relative_to(place)}")
    assert "and all 6 images of annotations/image_info_test-dev2017.json" in printed
    loaded = COCO(str(info)).loadRes(str(path))
    assert sorted(loaded.getImgIds()) == sorted(image["id"] for image in images)


def write_pascal_records(place):
    if (place / "tfrecord" / "json_pascal.json").exists():
        return
    run(
        place,
        'PYTHONPATH=".:$PYTHONPATH" python dataset/create_pascal_tfrecord.py'
        " --data_dir=VOCdevkit --year=VOC2012 --output_path=tfrecord/pascal",
    )
    ground_truth = json.loads((place / "tfrecord" / "json_pascal.json").read_text())
    assert len(ground_truth["images"]) == 16


def test_pascal_records_and_training(place):
    write_pascal_records(place)
    run(
        place,
        TRAINING.format(
            run="efficientdet-d0-scratch",
            start="--backbone_ckpt=efficientnet-b0",
            hparams='"num_classes=20,moving_average_decay=0"',
        ),
    )
    assert final_step(place, "efficientdet-d0-scratch") == 2


@pytest.mark.parametrize("fpn_name", ["bifpn", "vfpn"])
def test_fine_tuning(places, fpn_name):
    place = places(fpn_name)
    write_pascal_records(place)
    run(
        place,
        TRAINING.format(run="finetune", start="--ckpt=efficientdet-d0", hparams="voc_config.yaml"),
    )
    assert final_step(place, "finetune") == 2
    assert identify(place / "tmp" / "finetune").fpn_name == fpn_name
