"""SSD detectors with weights that let every layer count."""

from efficientvision.api import build_model
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.loaded_model import LoadedModel
from tests.filled_segmenter import filled_model


def filled_ssd(name, seed=0, **options):
    """A detector of which no two layers have the same weights."""
    return filled_model(build_model(name, task="detection", **options), seed)


NAMES = {1: "cat", 2: "dog", 3: "cow"}
IMAGE_HW = (64, 96)
# Not those of the published detectors.
PRIOR_SCALES = {"min_scale": 0.15, "max_scale": 0.9}


def loaded_ssd(**nms):
    """A small detector with its configuration, as `load_model` would give it.

    Its heads are tamed: boxes are of the priors' sizes, and scores are of all kinds.
    """
    name = "shufflenetv2_s_0.5"
    options = {"num_classes": 4, "image_size": IMAGE_HW, "nms_configs": nms}
    options |= {f"prior_{name}": value for name, value in PRIOR_SCALES.items()}
    config = get_config(name, options, task="detection")
    model = filled_ssd(name, num_classes=4, image_size=IMAGE_HW)
    for head, factor in (("cls_layers", 0.015), ("loc_layers", 0.006)):
        for variable in model.weights:
            if head in variable.path:
                variable.assign(factor * variable.numpy())
    return LoadedModel(model, config, dict(NAMES))
