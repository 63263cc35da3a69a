"""The flags of `train_segmentation.py` and `test_segmentation.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from efficientvision import files
from efficientvision.cli.edgenets_values import (
    Flags,
    Table,
    Translated,
    channels,
    flag,
    hparam,
    imagenet_file,
    named,
    no_effect,
    one,
    resume,
    switch,
    weights,
)
from efficientvision.data import data_folder
from efficientvision.errors import UserError

_TEST_FLAGS = {"weights_test", "im_size", "split"}
# Their `--data-path` -> the images of the test part.
_TEST_IMAGES = {
    "city": "leftImg8bit/test/*/*.png",
    "pascal": "VOC2012/list/test.txt",
}


def _size(name: str):
    def translate(values: Sequence[str]) -> Translated:
        """Width and height; one number stands for both."""
        if len(values) not in (1, 2):
            raise UserError(
                f"--{name.replace('_', '-')} takes width and height, got "
                f"{' '.join(values) or 'nothing'}."
            )
        return Translated(hparams={"image_size": f"{values[0]}x{values[-1]}"})

    return translate


def _ignored(values: Sequence[str]) -> Translated:
    if (label := one("ignore_idx", values)) != "255":
        raise UserError(
            f"--ignore-idx {label}: records mark ignored pixels with 255; make them with "
            f"dataset/create_segmentation_tfrecord.py --ignore_label={label}."
        )
    return Translated()


def _more_records(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> dict[str, str]:
    """`--coco-path`, `--coarse`: records that are trained on beside those of the data set."""
    wanted = []
    folder = given.get("data_dir", "")
    if coco := one("coco_path", theirs.get("coco_path", [""])):
        wanted.append(("--coco-path", coco, "coco_", "--coco_images and --coco_annotations"))
    if "coarse" in theirs:
        wanted.append(("--coarse", folder, "coarse", "--cityscapes_dir and --coarse"))
    if not wanted or named(ours, "train_file_pattern"):
        return {}
    patterns = [data_folder.find_records(folder, "train")]
    for written, place, prefix, how in wanted:
        patterns.append(data_folder.find_records(place, prefix))
        if patterns[-1] is None:
            raise UserError(
                f"{written}: there are no records {prefix}*.tfrecord in {place or 'no folder'}; "
                f"make them with dataset/create_segmentation_tfrecord.py, {how}."
            )
    return {"train_file_pattern": ",".join(filter(None, patterns))}


def _test_images(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> dict[str, str]:
    """`--split test` has no labels: predictions for the test server, in EdgeNets' folder."""
    split = one("split", theirs.get("split", ["val"]))
    if split not in ("val", "test"):
        raise UserError(f"--split {split}: val or test.")
    if split == "val" or named(ours, "val_file_pattern"):
        return {}
    dataset = named(ours, "dataset") or "city"
    return {
        "val_file_pattern": files.join(given.get("data_dir", "."), _TEST_IMAGES[dataset]),
        "testdev_dir": "results_city_test" if dataset == "city" else "results_pascal",
    }


def _backbone(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> Translated:
    """A training without `--finetune` begins from ImageNet's weights, where EdgeNets keep them."""
    begins = "weights" in given or _evaluates(set(theirs)) or "model" not in theirs
    if begins or any(named(ours, flag) for flag in ("ckpt", "backbone_ckpt")):
        return Translated()
    path = imagenet_file(given.get("model_name", ""))
    return Translated(flags={"backbone_ckpt": path}) if files.is_file(path) else Translated()


def _evaluates(names: Set[str]) -> bool:
    return bool(_TEST_FLAGS & names)


def _finish(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> Translated:
    more = _more_records(theirs, given, ours) | _test_images(theirs, given, ours)
    return Translated(flags=more | _backbone(theirs, given, ours).flags)


TABLE = Table(
    "segmentation",
    "2.0",
    {
        "data_path": flag("data_path", "data_dir"),
        "coco_path": lambda values: Translated(),
        "coarse": lambda values: Translated(),
        "ignore_idx": _ignored,
        "freeze_bn": switch("freeze_bn", freeze_bn="true"),
        "savedir": flag("savedir", "model_dir"),
        "resume": resume,
        "finetune": weights("finetune"),
        "weights_test": weights("weights_test"),
        "split": lambda values: Translated(),
        "batch_size": flag("batch_size", "train_batch_size"),
        "epochs": flag("epochs", "num_epochs"),
        "lr": hparam("lr", "learning_rate", scale_learning_rate="false"),
        "lr_mult": hparam("lr_mult", "lr_mult"),
        "scheduler": hparam("scheduler", "lr_decay_method"),
        "clr_max": hparam("clr_max", "clr_max"),
        "cycle_len": hparam("cycle_len", "cycle_len"),
        "step_size": lambda values: Translated(
            hparams={"lr_steps": f"[{one('step_size', values)}]"}
        ),
        "lr_decay": hparam("lr_decay", "lr_decay"),
        "power": hparam("power", "lr_power"),
        "momentum": hparam("momentum", "momentum"),
        "weight_decay": hparam("weight_decay", "weight_decay"),
        "crop_size": _size("crop_size"),
        "im_size": _size("im_size"),
        "loss_type": hparam("loss_type", "loss_type"),
        "channels": channels,
        "workers": no_effect("as many processors read images as are free"),
        "num_classes": no_effect(
            "the classes are those of --dataset or of the records, as in EdgeNets; "
            "--hparams=num_classes=N sets another number"
        ),
    },
    _evaluates,
    _finish,
)
