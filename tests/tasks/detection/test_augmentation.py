"""The settings of augmentation, from hyper-parameters to pictures."""

import dataclasses

import numpy as np
import pytest

from efficientvision.data.transforms.autoaugment_policies import POLICIES, RANDAUG
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.augmentation import Augmentation
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.pipeline import detection_dataset

HW = (64, 96)


def batch_of(pattern, **options):
    dataset = detection_dataset(
        pattern,
        image_hw=HW,
        batch_size=6,
        training=True,
        seed=7,
        augmentation=Augmentation(**options),
    )
    return {name: value.numpy() for name, value in next(iter(dataset)).items()}


def test_defaults_are_those_of_the_hyper_parameters():
    config = EfficientDetConfig()
    for field in dataclasses.fields(Augmentation):
        assert field.default == getattr(config, field.name), field.name


def test_hyper_parameters_arrive():
    changes = {
        "input_rand_hflip": False,
        "input_rand_vflip": True,
        "input_rand_rot90": True,
        "jitter_min": 0.8,
        "jitter_max": 1.2,
        "autoaugment_policy": "randaug",
        "randaug_num_layers": 3,
        "randaug_magnitude": 9.0,
        "grid_mask": True,
        "mosaic_prob": 0.4,
        "mixup_prob": 0.3,
        "hsv_jitter": 0.6,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Augmentation)}
    augmentation = EfficientDetTrainingTask.augmentation(get_config("efficientdet-d0", changes))
    assert dataclasses.asdict(augmentation) == changes
    assert augmentation.num_mix_candidates == 4 and augmentation.needs_whole_photo


def test_every_policy_has_its_name_in_the_configuration():
    for name in (*POLICIES, RANDAUG):
        assert get_config("efficientdet-d0", f"autoaugment_policy={name}").autoaugment_policy
    with pytest.raises(UserError, match="autoaugment_policy"):
        get_config("efficientdet-d0", "autoaugment_policy=v4")
    with pytest.raises(UserError, match="one of v0, v1"):
        Augmentation(autoaugment_policy="v4")


def test_the_whole_photo_and_only_its_part_give_the_same_picture(make_records, monkeypatch):
    monkeypatch.setitem(POLICIES, "nothing", ((("Cutout", 0.0, 10),),))
    pattern = make_records(6)  # PNG: a part of it is decoded exactly as the whole
    turns = {"input_rand_vflip": True, "input_rand_rot90": True}
    part, whole = (
        batch_of(pattern, **turns),
        batch_of(pattern, **turns, autoaugment_policy="nothing"),
    )
    for name, value in part.items():
        np.testing.assert_array_equal(value, whole[name])


def test_policies_and_grids_reach_the_pictures_and_their_boxes(make_records, monkeypatch):
    monkeypatch.setitem(POLICIES, "invert", ((("Solarize", 1.0, 0),),))
    pattern = make_records(6)
    fixed = {"jitter_min": 1.0, "jitter_max": 1.0}
    plain, inverted = (
        batch_of(pattern, **fixed),
        batch_of(pattern, **fixed, autoaugment_policy="invert"),
    )
    for image, other, (height, width) in zip(
        plain["images"], inverted["images"], plain["valid_hw"], strict=True
    ):
        seen = np.s_[:height, :width]
        difference = other[seen].astype(int) - (255 - image[seen].astype(int))
        assert np.abs(difference).max() <= 1  # rounding after the resize
    np.testing.assert_array_equal(plain["gt_boxes_yxyx"], inverted["gt_boxes_yxyx"])
    masked = batch_of(pattern, **fixed, grid_mask=True)
    black = [(image == 0).all(-1).sum() for image in masked["images"]]
    padding = [(image == 0).all(-1).sum() for image in plain["images"]]
    assert sum(b > p + 50 for b, p in zip(black, padding, strict=True)) >= 2


def test_objects_that_a_policy_moves_out_lose_their_boxes(make_records):
    pattern = make_records(6, boxes_per_image=(3,))
    moved = batch_of(pattern, autoaugment_policy="test", jitter_min=1.0, jitter_max=1.0)
    # Photos are 80 or 90 pixels wide and are moved by 100.
    assert (moved["gt_classes"] == -1).all() and (moved["gt_boxes_yxyx"] == -1).all()
