"""Lists models, builds networks, loads weights."""

from efficientvision.configs import (
    ClassificationConfig,
    SegmentationConfig,
    SsdConfig,
    TrainingConfig,
    get_config,
    parse_image_size,
)
from efficientvision.configs.kinds import checked, integer
from efficientvision.errors import UserError
from efficientvision.models.classifier import build_classifier, edge_network
from efficientvision.models.efficientdet import efficientdet, efficientnet_backbone
from efficientvision.models.segmenter import build_segmenter, segmenting_detector
from efficientvision.models.ssd import build_ssd
from efficientvision.registry import (
    SEGMENTER_IMAGE_SIZE,
    SSD_IMAGE_SIZE,
    classifier_image_size,
    efficientdet_names,
    family_of,
    list_models,
    nearest_names,
    task_of,
)
from efficientvision.weights.automl import load_weights

__all__ = ["build_from_config", "build_model", "list_models", "load_weights"]

_OPTIONS = {
    "detection": ("num_classes", "image_size", "dtype"),
    "classification": ("num_classes", "image_size", "dropout_rate", "dtype"),
    "segmentation": (
        "num_classes",
        "image_size",
        "decoder_width",
        "pyramid_width",
        "auxiliary",
        "grad_checkpoint",
        "dtype",
    ),
}
_WIDTHS = ("num_classes", "decoder_width", "pyramid_width")
_OWN_OPTIONS = {"efficientnet": ("act_type",), "dicenet": ("build_size",)}


def build_model(name, task=None, *, include_top=True, **hyper_parameters):
    """Builds a network with random weights.

    Args:
        name: one of `list_models()`.
        task: `"detection"`, `"classification"` or `"segmentation"`; None: `"detection"` for an
            EfficientDet, `"classification"` for a backbone.
        include_top: whether to include the classifier; False returns a backbone's features.
        **hyper_parameters: hyper-parameters by name, e.g.
            `num_classes=3, fpn_name="vfpn", image_size="512x512"` (strings are WIDTHxHEIGHT).
            EfficientDet: any of `configs.DetectionConfig`, or of `configs.SegmentationConfig` with
            `task="segmentation"`. Classifier: `num_classes`, `image_size`, `dropout_rate`, `dtype`.
            Segmenter: `num_classes` (with background), `image_size`, `decoder_width`,
            `pyramid_width`, `auxiliary`, `grad_checkpoint` (see `build_segmenter`), `dtype`. SSD,
            which is named after its backbone: `num_classes` (with background), `image_size`,
            `dtype`. The last three also take `act_type` (EfficientNet) or `build_size` (DiCENet:
            the image size its kernels are built for).

    Returns:
        A `keras.Model` of normalised float32 images `[N, H, W, 3]`. Its outputs are:

        - EfficientDet: `(class_outputs, box_outputs)`, lists, finest level first, of logits
          `[N, h, w, A * K]` and encoded boxes `[N, h, w, A * 4]`, for A anchors per cell and K
          classes; with `heads=["object_detection", "segmentation"]`, then segmentation logits.
        - SSD: `(confidences, locations)`, logits `[N, P, num_classes]` and encoded boxes
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
        if task != "classification":
            raise UserError(
                f"include_top=False applies to backbones only; {name} is built for {task}."
            )
        if "num_classes" in hyper_parameters:
            raise UserError(
                "num_classes has no effect with include_top=False: remove one of the two."
            )
    if name in efficientdet_names():
        return build_from_config(get_config(name, hyper_parameters, task=task))
    top = {} if include_top else {"include_top": False}
    return _build_by_options(name, task, hyper_parameters, **top)


def build_from_config(config: TrainingConfig):
    """Builds the network of a configuration, with random weights.

    Args:
        config: a configuration from `configs.get_config`.

    Returns:
        A `keras.Model`, see `build_model`.
    """
    batch_norm = {
        "momentum": config.bn_momentum,
        "epsilon": config.bn_epsilon,
        "synchronized": config.sync_bn,
        "frozen": not config.is_training_bn,
    }
    dtype = config.dtype_policy
    if isinstance(config, ClassificationConfig):
        return _build_configured_classifier(config, batch_norm)
    if isinstance(config, SsdConfig):
        return build_ssd(
            config.name,
            image_hw=config.image_hw,
            num_classes=config.num_classes,
            grad_checkpoint=config.grad_checkpoint,
            batch_norm=batch_norm,
            dtype=dtype,
            **_own_options(config),
        )
    if isinstance(config, SegmentationConfig):
        return _build_configured_segmenter(config, batch_norm)
    backbone = _build_backbone(config, batch_norm)
    return efficientdet(
        name=config.name,
        backbone=backbone,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        anchors_per_location=config.anchors_per_location,
        min_level=config.min_level,
        max_level=config.max_level,
        fusion=config.fpn_name or "bifpn",
        fpn_num_filters=config.fpn_num_filters,
        fpn_cell_repeats=config.fpn_cell_repeats,
        fpn_weight_method=config.fpn_weight_method or "fastattn",
        box_class_repeats=config.box_class_repeats,
        act_type=config.act_type,
        separable_conv=config.separable_conv,
        apply_bn_for_resampling=config.apply_bn_for_resampling,
        conv_after_downsample=config.conv_after_downsample,
        conv_bn_act_pattern=config.conv_bn_act_pattern,
        survival_prob=config.survival_prob,
        heads=config.heads,
        seg_num_classes=config.seg_num_classes,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=batch_norm,
        dtype=dtype,
    )


def _build_backbone(config, batch_norm):
    if family_of(config.backbone_name) == "efficientnet":
        return efficientnet_backbone(
            config.backbone_name,
            act_type=config.act_type,
            grad_checkpoint=config.grad_checkpoint,
            batch_norm=batch_norm,
            dtype=config.dtype_policy,
        )
    # Their published statistics need their own epsilon, and momentum unless one is set.
    own = {name: batch_norm[name] for name in ("synchronized", "frozen")}
    if config.is_set("bn_momentum"):
        own["momentum"] = config.bn_momentum
    return edge_network(
        config.backbone_name,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=own,
        dtype=config.dtype_policy,
    )


def _own_options(config):
    """Options that only one family of networks has."""
    own = {
        "efficientnet": {"act_type": config.act_type},
        "dicenet": {"build_hw": parse_image_size(config.build_size)},
    }
    return own.get(family_of(config.name), {})


def _build_configured_segmenter(config, batch_norm):
    if config.is_detector:
        return segmenting_detector(build_from_config(_detector_config(config)))
    return build_segmenter(
        config.name,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        decoder_width=config.decoder_width,
        pyramid_width=config.pyramid_width,
        auxiliary=config.auxiliary,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=batch_norm,
        dtype=config.dtype_policy,
        **_own_options(config),
    )


def _detector_config(config):
    """The configuration of the EfficientDet behind a segmentation network."""
    shared = (
        "image_size",
        "heads",
        "fpn_name",
        "grad_checkpoint",
        "bn_momentum",
        "bn_epsilon",
        "sync_bn",
        "is_training_bn",
        "mixed_precision",
    )
    classes = {"num_classes": config.detector_classes, "seg_num_classes": config.num_classes}
    values = {name: getattr(config, name) for name in shared} | classes
    if config.act_type is not None:
        values["act_type"] = config.act_type
    return get_config(config.name, values, task="detection")


def _build_configured_classifier(config, batch_norm):
    return build_classifier(
        config.name,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        dropout_rate=config.dropout_rate,
        batch_norm=batch_norm,
        dtype=config.dtype_policy,
        **_own_options(config),
    )


def _build_by_options(name, task, options, **top):
    """Builds a network that is named after its backbone and has few hyper-parameters."""
    known = (*_OPTIONS[task], *_OWN_OPTIONS.get(family_of(name), ()))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(
            f"{name} has no hyper-parameter {unknown[0]!r} for {task}. "
            f"{nearest_names(unknown[0], known)}"
        )
    # A detector has background and at least one class.
    width = integer(minimum=2 if task == "detection" else 1)
    options = {
        key: checked(key, value, width) if key in _WIDTHS and value is not None else value
        for key, value in options.items()
    }
    if "build_size" in options:
        options["build_hw"] = parse_image_size(options.pop("build_size"))
    build, usual_size = {
        "detection": (build_ssd, SSD_IMAGE_SIZE),
        "classification": (build_classifier, classifier_image_size(name)),
        "segmentation": (build_segmenter, SEGMENTER_IMAGE_SIZE),
    }[task]
    image_hw = parse_image_size(options.pop("image_size", usual_size))
    return build(name, image_hw=image_hw, **options, **top)
