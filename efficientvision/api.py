"""The library in three verbs: list the models, build one, load its weights."""

from typing import Any

import keras

from efficientvision.configs import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import efficientdet_names, list_models, task_of
from efficientvision.tasks.choice import find_task, get_config, task_of_config
from efficientvision.weights.automl import load_weights

__all__ = ["build_from_config", "build_model", "list_models", "load_weights"]


def build_model(
    name: str, task: str | None = None, *, include_top: bool = True, **hyper_parameters: Any
) -> keras.Model:
    """Builds a network with random weights.

    Args:
        name: one of `list_models()`.
        task: one of `registry.TASKS`; None: `"detection"` for an EfficientDet, `"classification"`
            for a backbone.
        include_top: False: a backbone without its classifier, which gives its features.
        **hyper_parameters: any hyper-parameter of `configs.EfficientDetConfig` by name, e.g.
            `num_classes=3, fpn_name="vfpn", image_size="512x512"` (strings are WIDTHxHEIGHT);
            for a classifier `num_classes`, `image_size`, `dropout_rate`, `dtype`, and `act_type`
            (EfficientNet) or `build_size` (DiCENet: the image size of its kernels); for a segmenter
            `num_classes` (with background), `image_size`, `decoder_width`, `pyramid_width`,
            `auxiliary`, `grad_checkpoint` (see `build_segmenter`), `dtype`, and the same two; for
            an EfficientDet as a segmenter any of `configs.SegmentationConfig`; for an SSD detector,
            which is called after its backbone, `num_classes` (with background), `image_size`,
            `dtype`, and the same two.

    Returns:
        A `keras.Model`. An EfficientDet maps float32 images `[N, H, W, 3]`, normalised, to
        `(class_outputs, box_outputs)`: lists, finest level first, of logits `[N, h, w, A * K]`
        and box codes `[N, h, w, A * 4]`; with `heads=["object_detection", "segmentation"]`
        segmentation logits follow. An SSD gives `(confidences, locations)`: logits
        `[N, P, num_classes]` and codes `[N, P, 4]` of `detection.priors.generate_priors`. A
        classifier gives logits `[N, num_classes]`, a segmenter `[N, H, W, num_classes]`. A backbone
        without its top gives `{level: features}`, float32 [N, H / 2**level, W / 2**level, C].

    Raises:
        UserError: the model, the task or a hyper-parameter is unknown, or a value is bad.

    Example:
        >>> model = build_model("efficientdet-d0", num_classes=3, image_size=128)
        >>> class_outputs, box_outputs = model(images)
        >>> logits = build_model("espnetv2_s_2.0", task="segmentation", num_classes=21)(images)
        >>> confidences, locations = build_model(
        ...     "espnetv2_s_2.0", task="detection", num_classes=21, image_size=300
        ... )(images)
    """
    task = task_of(name, task)
    if not include_top:
        if not find_task(task, name).has_top:
            raise UserError(f"include_top=False is for backbones; {name} is for {task}.")
        if "num_classes" in hyper_parameters:
            raise UserError("include_top=False leaves out the classes: num_classes has no use.")
    if name in efficientdet_names():
        return build_from_config(get_config(name, hyper_parameters, task=task))
    top = {} if include_top else {"include_top": False}
    return find_task(task, name).build_named(name, hyper_parameters, **top)


def build_from_config(config: TrainingConfig) -> keras.Model:
    """Builds the network that a resolved configuration describes.

    Args:
        config: from `get_config`.

    Returns:
        As `build_model`.
    """
    return task_of_config(config).build(config)
