"""The library in three verbs: list the models, build one, load its weights."""

from efficientvision.configs import (
    ClassificationConfig,
    TrainingConfig,
    get_config,
    parse_image_size,
)
from efficientvision.errors import UserError
from efficientvision.models.classifier import build_classifier, edge_network
from efficientvision.models.efficientdet import efficientdet, efficientnet_backbone
from efficientvision.registry import classifier_image_size, family_of, list_models
from efficientvision.weights.automl import load_weights

__all__ = ["build_from_config", "build_model", "list_models", "load_weights"]

_CLASSIFIER_OPTIONS = ("num_classes", "image_size", "dropout_rate", "dtype")
_OWN_CLASSIFIER_OPTIONS = {"efficientnet": ("act_type",), "dicenet": ("build_size",)}


def build_model(name, **hyper_parameters):
    """Builds a network with random weights.

    Args:
        name: one of `list_models()`.
        **hyper_parameters: any hyper-parameter of `configs.DetectionConfig` by name, e.g.
            `num_classes=3, fpn_name="vfpn", image_size="512x512"` (strings are WIDTHxHEIGHT);
            for a classifier `num_classes`, `image_size`, `dropout_rate`, `dtype`, and `act_type`
            (EfficientNet) or `build_size` (DiCENet: the image size of its kernels).

    Returns:
        A `keras.Model`. A detector maps float32 images `[N, H, W, 3]`, normalised, to
        `(class_outputs, box_outputs)`: lists, finest level first, of logits `[N, h, w, A * K]`
        and box codes `[N, h, w, A * 4]`; with `heads=["object_detection", "segmentation"]`
        segmentation logits follow. A classifier gives logits `[N, num_classes]`.

    Raises:
        UserError: the model or a hyper-parameter is unknown, or a value is bad.

    Example:
        >>> model = build_model("efficientdet-d0", num_classes=3, image_size=128)
        >>> class_outputs, box_outputs = model(images)
    """
    if name in list_models("classification"):
        return _build_classifier(name, hyper_parameters)
    return build_from_config(get_config(name, hyper_parameters))


def build_from_config(config: TrainingConfig):
    """Builds the network that a resolved configuration describes.

    Args:
        config: from `configs.get_config`.

    Returns:
        As `build_model`.
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
    # Their published statistics go with their own epsilon, and momentum if none was asked for.
    own = {name: batch_norm[name] for name in ("synchronized", "frozen")}
    if config.is_set("bn_momentum"):
        own["momentum"] = config.bn_momentum
    return edge_network(
        config.backbone_name,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=own,
        dtype=config.dtype_policy,
    )


def _build_configured_classifier(config, batch_norm):
    own = {
        "efficientnet": {"act_type": config.act_type},
        "dicenet": {"build_hw": parse_image_size(config.build_size)},
    }
    return build_classifier(
        config.name,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        dropout_rate=config.dropout_rate,
        batch_norm=batch_norm,
        dtype=config.dtype_policy,
        **own.get(family_of(config.name), {}),
    )


def _build_classifier(name, options):
    own = _OWN_CLASSIFIER_OPTIONS.get(family_of(name), ())
    unknown = sorted(set(options) - {*_CLASSIFIER_OPTIONS, *own})
    if unknown:
        raise UserError(
            f"{name} has no hyper-parameter {unknown[0]!r}; expected one of "
            f"{', '.join((*_CLASSIFIER_OPTIONS, *own))}."
        )
    options = dict(options)
    image_hw = parse_image_size(options.pop("image_size", classifier_image_size(name)))
    if "build_size" in options:
        options["build_hw"] = parse_image_size(options.pop("build_size"))
    return build_classifier(name, image_hw=image_hw, **options)
