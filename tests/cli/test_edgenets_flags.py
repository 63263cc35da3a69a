"""EdgeNets' flags, as their README writes them, become ours; none is ignored in silence."""

import json
import shutil

import pytest
from absl import flags as absl_flags

from efficientvision.cli import flags
from efficientvision.cli.compat import rows
from efficientvision.cli.compat.edgenets import translate
from efficientvision.errors import UserError
from efficientvision.runs import run_setup
from efficientvision.tasks.choice import get_config
from tests.conftest import REPOSITORY

SCRIPTS = json.loads((REPOSITORY / "tests/goldens/edgenets/cli_flags.json").read_text())
TRAINING = (
    "main.py --model espnetv2 --s 2.0 --dataset imagenet --data ./imagenet --batch-size 512"
    " --epochs 120 --lr 0.1 --scheduler hybrid --clr-max 61 --savedir runs/a"
)
# A value for each flag that needs one other than its default.
VALUES = {
    "data": "./imagenet",
    "data-path": "./city",
    "coco-path": "./city",
    "model": "dicenet",
    "weights": "a.pth",
    "weights-test": "a.pth",
    "resume": "runs/a/ckpt.npz",
    "save": "runs/a",
    "finetune": "a.pth",
}
SEGMENTATION = (
    "main.py --model espnetv2 --s 2.0 --dataset city --data-path ./city --batch-size 25"
    " --crop-size 512 256 --lr 0.009 --scheduler hybrid --clr-max 61 --epochs 100 --savedir runs/b"
)


def parsed(command):
    """(the options, what was said)."""
    said = []
    given = absl_flags.FlagValues()
    flags.define_train_flags(given)
    given(translate(command.split(), said.append))
    return flags.options_of(given), said


def test_the_readmes_training_command():
    given, said = parsed(TRAINING)
    config = run_setup.training_config(given)
    assert (config.name, config.task, given.mode) == (
        "espnetv2_s_2.0",
        "classification",
        "train_and_eval",
    )
    assert (given.data_dir, given.model_dir) == ("./imagenet", "runs/a")
    assert (given.train_batch_size, config.num_epochs, config.clr_max) == (512, 120, 61)
    assert (config.lr_decay_method, config.learning_rate) == ("hybrid", 0.1)
    assert not config.scale_learning_rate and not config.multi_label
    assert said == []


def test_several_values_are_joined():
    given, _ = parsed("main.py --model dicenet --scale 0.3 0.9 --steps 10 20 30 --savedir runs/a")
    config = run_setup.training_config(given)
    assert (config.crop_scale, config.lr_steps) == ((0.3, 0.9), (10, 20, 30))
    given, _ = parsed("main.py --model dicenet --steps 7 --savedir runs/a")
    assert run_setup.training_config(given).lr_steps == (7,)


@pytest.mark.parametrize("written", ["--batch-size 8", "--batch_size 8", "--batch-size=8"])
def test_hyphens_and_underscores_are_alike(written):
    assert parsed(f"main.py {written}")[0].train_batch_size == 8


def test_coco_has_several_labels_an_image():
    given, _ = parsed("main.py --model espnetv2 --s 1 --dataset coco --savedir runs/a")
    config = run_setup.training_config(given)
    assert (config.name, config.multi_label) == ("espnetv2_s_1.0", True)


def test_weights_alone_are_evaluated():
    given, _ = parsed("main.py --model dicenet --s 0.5 --data d --weights a.pth --num-classes 10")
    assert (given.mode, given.model_dir, given.model_name) == ("eval", "a.pth", "dicenet_s_0.5")
    assert given.hparams == "num_classes=10"


def test_weights_of_a_training_are_its_beginning():
    given, _ = parsed(f"{TRAINING} --weights a.pth --finetune")
    assert (given.mode, given.ckpt) == ("train_and_eval", "a.pth")


def test_flags_without_effect_say_why():
    _, said = parsed(f"{TRAINING} --workers 12 --exp-type ablation --start-epoch 3")
    assert [line.split()[1] for line in said] == ["--workers", "--exp-type", "--start-epoch"]
    assert all("no effect:" in line for line in said)
    _, said = parsed(f"{TRAINING} --model-width 160 --model-height 160")
    assert "DiCENet" in said[0]


def test_a_build_size_of_dicenet():
    given, _ = parsed("main.py --model dicenet --s 0.2 --model-width 96 --model-height 64")
    assert given.hparams == "build_size=96x64"


def test_our_own_flags_and_hyper_parameters_win():
    given, _ = parsed("main.py --lr 0.1 --batch-size 8 --hparams=learning_rate=0.2 --mode=train")
    assert given.mode == "train"
    assert given.hparams.endswith("learning_rate=0.2")
    assert parsed("main.py --batch-size 8 --train_batch_size=4")[0].train_batch_size == 4


def test_a_command_without_their_flags_stays_as_it_is():
    command = "main.py --mode=train --model_name=efficientdet-d0 --dataset=coco --hparams=a=1"
    assert translate(command.split()) == command.split()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--model espnet --s 2.0", "espnetv2"),
        ("--model espnetv2 --s 3.0", "0.5, 1.0, 1.25, 1.5, 2.0"),
        ("--s 2.0", "--model"),
        ("--model dicenet --channels 1", "3 channels"),
        ("--model dicenet --resume a.pth.tar", "--weights"),
        ("--model dicenet --finetune", "model_zoo/dicenet/dicenet_s_1.0_imagenet_224x224.pth"),
        ("--batch-size 8 16", "one value"),
        ("--model dicenet --scale", "takes values"),
    ],
)
def test_what_cannot_be_honoured_is_said(command, says):
    with pytest.raises(UserError, match=says):
        translate(["main.py", *command.split()])


def test_rows_name_flags_and_hyper_parameters_that_exist():
    configs = {task: get_config("dicenet_s_1.0", task=task) for task in rows.TASKS}
    for row in rows.ROWS:
        for target in row.becomes.split():
            name = target.lstrip("-").partition("=")[0]
            if target.startswith("--"):
                assert name == "weights" or name in flags.IMPLEMENTED[flags.TRAIN], row
            else:
                assert all(hasattr(configs[task], name) for task in row.tasks), row


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_every_flag_of_the_scripts_is_understood(script, tmp_path, monkeypatch):
    """With the values of their defaults: absl knows what comes out of it."""
    monkeypatch.chdir(tmp_path)
    zoo = tmp_path / "model/classification/model_zoo/dicenet"
    zoo.mkdir(parents=True)
    shutil.copy(REPOSITORY / "README.md", zoo / "dicenet_s_1.0_imagenet_224x224.pth")
    (tmp_path / "city").mkdir()
    for part in ("coarse", "coco_train2017"):
        (tmp_path / f"city/{part}-00000-of-00001.tfrecord").touch()
    for flag in SCRIPTS[script]:
        name = flag["flag"].lstrip("-")
        default = flag.get("default")
        values = default if isinstance(default, list) else [default]
        if name in VALUES:
            values = [VALUES[name]]
        words = "" if flag.get("action") else " ".join(map(str, values))
        model = "" if name == "model" else "--model dicenet "
        width = "" if name == "s" else "--s 1.0 "
        task = script.partition("_")[2].removesuffix(".py")
        if name == "coarse":
            words = "--data-path city"
        words = words.replace("2.0", "1.0") if name == "s" else words
        given, _ = parsed(f"main.py --task={task} {model}{width}{flag['flag']} {words}")
        assert (given.model_name, given.task) == ("dicenet_s_1.0", task)


def test_the_readmes_two_stages_of_segmentation():
    given, said = parsed(SEGMENTATION)
    config = run_setup.training_config(given)
    assert (config.name, config.task, given.mode) == (
        "espnetv2_s_2.0",
        "segmentation",
        "train_and_eval",
    )
    assert (given.data_dir, given.train_batch_size, given.model_dir) == ("./city", 25, "runs/b")
    assert (config.image_hw, config.num_classes, config.class_weights) == ((256, 512), 20, "city")
    assert (config.learning_rate, config.lr_mult, config.clr_max) == (0.009, 10.0, 61)
    assert said == [] and not config.freeze_bn
    second = SEGMENTATION.replace("512 256", "1024 512") + " --freeze-bn --finetune stage1.pth"
    given, _ = parsed(second)
    assert given.ckpt == "stage1.pth"
    assert "image_size=1024x512" in given.hparams and "freeze_bn=true" in given.hparams


def test_the_test_script_of_segmentation():
    command = "main.py --model dicenet --s 1.75 --weights-test a.pth --im-size 1024 512"
    given, _ = parsed(f"{command} --dataset city --data-path d --split val")
    assert (given.mode, given.model_dir, given.data_dir) == ("eval", "a.pth", "d")
    assert given.hparams == "image_size=1024x512" and not given.testdev_dir
    given, _ = parsed(f"{command} --data-path d --split test")
    assert given.val_file_pattern == "d/leftImg8bit/test/*/*.png"
    assert given.testdev_dir == "results_city_test"


def test_more_records_to_train_on(tmp_path):
    for name in ("voc/tfrecord/train-0.tfrecord", "coco/coco_train2017-0.tfrecord"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    command = f"main.py --model espnetv2 --dataset pascal --data-path {tmp_path}/voc --coco-path"
    given, _ = parsed(f"{command} {tmp_path}/coco")
    own, more = given.train_file_pattern.split(",")
    assert own == f"{tmp_path}/voc/tfrecord/train*.tfrecord"
    assert more == f"{tmp_path}/coco/coco_*.tfrecord"
    with pytest.raises(UserError, match="create_segmentation_tfrecord.py, --coco_images"):
        parsed(f"{command} {tmp_path}/voc")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--model espnetv2 --crop-size 1 2 3", "width and height"),
        ("--model espnetv2 --loss-type ce --ignore-idx 19", "--ignore_label=19"),
        ("--model espnetv2 --crop-size 256 --inpSize 224", "--task=classification"),
    ],
)
def test_what_cannot_be_honoured_in_segmentation(command, says):
    with pytest.raises(UserError, match=says):
        translate(["main.py", *command.split()])


def test_a_task_without_a_model_asks_for_one():
    given, _ = parsed("main.py --task=classification --model_dir=runs/a --data_dir=d")
    with pytest.raises(UserError, match="needs a classifier: set `model_name`"):
        run_setup.check_options(given)
