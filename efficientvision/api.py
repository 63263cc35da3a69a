"""Lists models, builds networks, loads weights."""

from typing import Any

import keras

from efficientvision.configs import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import efficientdet_names, list_models, task_of
from efficientvision.tasks.choice import find_task, get_config, task_of_config
from efficientvision.weights.load import load_weights

__all__ = ["build_from_config", "build_model", "list_models", "load_weights"]


def build_model(
    name: str, task: str | None = None, *, include_top: bool = True, **hyper_parameters: Any
) -> keras.Model:
    """Builds a network with random weights.

    Args:
        name: one of `list_models()`.
        task: `"detection"`, `"classification"` or `"segmentation"`; None: `"detection"` for an
            EfficientDet, `"classification"` for a backbone.
        include_top: whether to include the classifier; False returns a backbone's features.
        **hyper_parameters: hyper-parameters by name, e.g.
            `num_classes=3, fpn_name="vfpn", image_size="512x512"` (strings are WIDTHxHEIGHT).
            EfficientDet: any of `configs.EfficientDetConfig`, or of `configs.SegmentationConfig`
            with `task="segmentation"`. Classifier: `num_classes`, `image_size`, `dropout_rate`,
            `dtype`. Segmenter: `num_classes` (with background), `image_size`, `decoder_width`,
            `pyramid_width`, `auxiliary`, `grad_checkpoint` (see `build_segmenter`), `dtype`. SSD,
            which is named after its backbone: `num_classes` (with background), `image_size`,
            `dtype`. The last three also take `act_type` (EfficientNet) or `build_size` (DiCENet:
            the image size its kernels are built for).

    Returns:
        A `keras.Model` of float32 images `[N, H, W, 3]`, normalised to
        `(pixel - mean_rgb) / stddev_rgb` for pixels in 0..255. Its outputs are:

        - EfficientDet: `(class_outputs, box_outputs)`, lists, finest level first, of logits
          `[N, h, w, A * K]` and box deltas `[N, h, w, A * 4]`, for A anchors per cell and K
          classes; with `heads=["object_detection", "segmentation"]`, then segmentation logits.
        - SSD: `(confidences, locations)`, logits `[N, P, num_classes]` and box deltas
          `[N, P, 4]`, for P priors of `detection.priors.generate_priors`.
        - Classifier: logits `[N, num_classes]`.
        - Segmenter: logits `[N, H, W, num_classes]`.
        - Backbone with `include_top=False`: `{level: features}`, float32
          `[N, H / 2**level, W / 2**level, C]`.

    Raises:
        UserError: the model, the task or a hyper-parameter is unknown, or a value is invalid.

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
            raise UserError(f"include_top=False applies to backbones only; {name} is for {task}.")
        if "num_classes" in hyper_parameters:
            raise UserError(
                "num_classes has no effect with include_top=False: remove one of the two."
            )
    if name in efficientdet_names():
        return build_from_config(get_config(name, hyper_parameters, task=task))
    top = {} if include_top else {"include_top": False}
    return find_task(task, name).build_named(name, hyper_parameters, **top)


def build_from_config(config: TrainingConfig) -> keras.Model:
    """Builds the network of a configuration, with random weights.

    Args:
        config: a configuration from `get_config`.

    Returns:
        A `keras.Model`, see `build_model`.
    """
    return task_of_config(config).build(config)
