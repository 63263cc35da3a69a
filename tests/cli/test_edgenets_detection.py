"""The flags of EdgeNets' `train_detection.py` and `test_detection.py` become ours."""

import pytest

from efficientvision.cli.compat.edgenets import translate
from efficientvision.errors import UserError
from efficientvision.runs import run_setup
from tests.cli.test_edgenets_flags import parsed

DETECTION = (
    "main.py --model espnetv2 --s 2.0 --dataset pascal --data-path ./voc --im-size 300"
    " --batch-size 192 --epochs 100 --lr 0.01 --lr-type hybrid --clr-max 61 --cycle-len 5"
    " --momentum 0.9 --wd 5e-4 --save runs/c"
)


def test_a_training_of_the_detection_script():
    steps = "--steps 51 161 --gamma 0.1 --power 0.8 --lr-mult 10 --freeze-bn --weights a.pth"
    assert translate(f"{DETECTION} {steps}".split()) == [
        "main.py",
        "--model_name=espnetv2_s_2.0",
        "--data_dir=./voc",
        "--train_batch_size=192",
        "--eval_batch_size=192",
        "--num_epochs=100",
        "--model_dir=runs/c",
        "--backbone_ckpt=a.pth",
        "--mode=train_and_eval",
        "--task=detection",
        "--dataset",
        "pascal",
        "--hparams=image_size=300,learning_rate=0.01,scale_learning_rate=false,"
        "lr_decay_method=hybrid,clr_max=61,cycle_len=5,momentum=0.9,weight_decay=5e-4,"
        "lr_steps=51*161,lr_decay=0.1,lr_power=0.8,lr_mult=10,is_training_bn=false",
    ]
    given, said = parsed(DETECTION)
    config = run_setup.training_config(given)
    assert (config.name, config.task, config.num_classes) == ("espnetv2_s_2.0", "detection", 21)
    assert (config.label_map, config.learning_rate, config.weight_decay) == ("voc", 0.01, 5e-4)
    assert said == [] and not given.backbone_ckpt


def test_the_test_script_of_detection():
    command = "main.py --model dicenet --s 1.75 --dataset coco --data-path d --im-size 512"
    assert translate(f"{command} --weights-test a.pth --model-width 160".split()) == [
        "main.py",
        "--model_name=dicenet_s_1.75",
        "--data_dir=d",
        "--mode=eval",
        "--model_dir=a.pth",
        "--task=detection",
        "--dataset",
        "coco",
        "--hparams=image_size=512,build_size=160x224",
    ]


def test_the_beginning_of_a_detector(tmp_path, monkeypatch):
    """`--finetune`, `--weights`, ImageNet's in the zoo; evaluated without any: the published."""
    monkeypatch.chdir(tmp_path)
    given, said = parsed(f"{DETECTION} --weights a.pth --finetune b.pth --resume")
    assert (given.ckpt, given.backbone_ckpt) == ("b.pth", "")
    assert [line.split()[1] for line in said] == ["--resume", "--weights"]
    for path in (
        "model/classification/model_zoo/espnetv2/espnetv2_s_2.0_imagenet_224x224.pth",
        "model/detection/model_zoo/espnetv2/espnetv2_s_2.0_pascal_512x512.pth",
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    theirs = "main.py --data-path d --im-size 512 --batch-size 24"
    given, _ = parsed(theirs)
    assert (given.model_name, given.task) == ("espnetv2_s_2.0", "detection")
    assert given.backbone_ckpt.endswith("espnetv2_s_2.0_imagenet_224x224.pth")
    given, said = parsed(f"{theirs} --mode=eval --weights a.pth")
    assert given.model_dir.endswith("espnetv2_s_2.0_pascal_512x512.pth")
    assert not given.backbone_ckpt and "--weights-test" in said[0]


@pytest.mark.parametrize(
    ("command", "task"),
    [
        ("--batch-size 8", "classification"),
        ("--dataset pascal --im-size 300", "detection"),
        ("--dataset pascal --im-size 384 384", "segmentation"),
        ("--dataset pascal --wd 1e-4", "detection"),
        ("--dataset pascal --crop-size 256", "segmentation"),
        ("--dataset coco --data-path d", "detection"),
        ("--dataset coco --data d", "classification"),
        ("--dataset city --data-path d", "segmentation"),
        ("--dataset pascal --data-path d --task=detection", "detection"),
    ],
)
def test_whose_flags_they_are(command, task):
    assert parsed(f"main.py --model espnetv2 {command}")[0].task == task


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--dataset pascal --data-path d", "--task=segmentation or --task=detection"),
        ("--dataset coco --batch-size 8", "--task=classification or --task=detection"),
        (
            "--dataset city --lr-type clr",
            "of EdgeNets' detection scripts, but the task is segmentation",
        ),
        ("--task=detection --scheduler clr", "--task=classification or --task=segmentation"),
        ("--wd 1e-4 --im-size 300 300", "--im-size takes one value"),
        ("--wd 1e-4 --freeze-bn true", "--freeze-bn takes no value"),
        ("--wd 1e-4 --channels 1", "3 channels"),
        ("--wd 1e-4 --resume a.pth", "segmentation and detection --finetune"),
        ("--im-size 300 --mode=eval", "no espnetv2_s_2.0_pascal_300x300.pth"),
    ],
)
def test_what_cannot_be_honoured_in_detection(command, says):
    with pytest.raises(UserError, match=says):
        translate(["main.py", "--model", "espnetv2", *command.split()])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--lr-type warm", "lr_decay_method"),
        ("--im-size large", "image_size"),
        ("--wd -1", "weight_decay"),
        ("--steps 20 10", "in increasing order"),
    ],
)
def test_bad_values_of_a_detectors_hyper_parameters(command, says):
    with pytest.raises(UserError, match=says):
        run_setup.training_config(parsed(f"{DETECTION} {command}")[0])
