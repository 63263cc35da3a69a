"""What `main.py` takes for detectors from the network and the flags."""

import pytest

from efficientvision.api import build_from_config
from efficientvision.configs import get_config
from efficientvision.data.labels import BUILTIN
from efficientvision.errors import UserError
from efficientvision.runs.detection_setup import DATASETS, DetectionSetup, SsdSetup
from efficientvision.runs.options import RunOptions

SETUP = SsdSetup()


def config_of(name, **options):
    return get_config(name, {"image_size": 64, **options}, task="detection")


@pytest.mark.parametrize("name", ["dicenet_s_0.2", "efficientnet-b0"])
def test_all_but_the_backbone_learns_faster(name):
    config = config_of(name, lr_mult=10)
    factor = SETUP.rate_factor(config)
    model = build_from_config(config)
    own = ("base_net.extra_level", "base_net.bu_", "cls_layers.", "loc_layers.")
    for path in (variable.path for variable in model.weights):
        assert factor(path) == (10.0 if any(part in path for part in own) else 1.0), path
    assert SETUP.rate_factor(config_of(name)) is None


def test_data_sets_have_their_classes():
    for dataset, names in (("pascal", "voc"), ("coco", "coco")):
        config = config_of("espnetv2_s_0.5", **DATASETS[dataset])
        assert config.num_object_classes == max(BUILTIN[names])
        assert config.label_map == names


def test_an_efficientdet_has_no_data_set():
    options = RunOptions(dataset="pascal", model_name="efficientdet-d0")
    with pytest.raises(UserError, match="does not apply to EfficientDet"):
        DetectionSetup().check_options(options)
