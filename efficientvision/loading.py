"""Loads a network with its configuration and class names from a checkpoint of any kind."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from efficientvision import files
from efficientvision.api import build_from_config, load_weights
from efficientvision.configs import (
    ClassificationConfig,
    SegmentationConfig,
    SsdConfig,
    TrainingConfig,
    config_from_yaml,
    get_config,
)
from efficientvision.data.class_order import network_names
from efficientvision.data.labels import BUILTIN, read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.exports.classification_serving import crop_fraction_of
from efficientvision.exports.metadata import (
    ClassifierMetadata,
    DetectorMetadata,
    ModelMetadata,
    SegmenterMetadata,
)
from efficientvision.files import AnyPath
from efficientvision.registry import list_models
from efficientvision.segmentation.palettes import palette_of, published_names
from efficientvision.weights.decoder import apply_decoder, apply_published_size
from efficientvision.weights.identify import (
    Identified,
    apply_checkpoint_architecture,
    identify,
)
from efficientvision.weights.report import LoadReport

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
LABELS_FILE = "labels.json"
COCO_CLASSES = 90
DEFAULT_MODELS = {
    "detection": "efficientdet-d0",
    "classification": "efficientnet-b0",
    "segmentation": "espnetv2_s_2.0",
}
DEFAULT_MODEL = DEFAULT_MODELS["detection"]
_KINDS = {"detection": "detector", "classification": "classifier", "segmentation": "segmenter"}


@dataclass
class LoadedModel:
    """A network with everything that `load_model` found about it.

    Attributes:
        model: the network with its weights.
        config: its hyper-parameters; the class depends on the task.
        class_names: class number (1..K, for segmenters from 0) -> name; may be empty.
        report: the `LoadReport`; None for random weights.
    """

    model: keras.Model
    config: TrainingConfig
    class_names: dict[int, str]
    report: LoadReport | None = None


def load_model(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    use_ema: bool = True,
    **overrides: Any,
) -> LoadedModel:
    """Builds the network of a checkpoint and loads its weights.

    Values not set by `hparams` and `overrides` come from the run's `config.yaml`, then from the
    checkpoint's variable names and shapes (model, fusion, number of classes), then from the
    defaults. The choices and the load report are logged.

    Args:
        path: a checkpoint of any kind; None: random weights.
        model_name: None: inferred from the checkpoint.
        hparams: overrides as text, a YAML file, or a dict.
        task: "detection", "classification" or "segmentation"; None: inferred from the checkpoint
            or the model's name.
        use_ema: load averaged weights if the checkpoint has them.
        **overrides: further hyper-parameters by name.

    Returns:
        The network with its configuration, class names and load report.

    Raises:
        UserError: the checkpoint is missing, truncated, or of another model or task; or a
            hyper-parameter is unknown.
    """
    changes = [hparams, overrides or None]
    if path is None:
        name = model_name or DEFAULT_MODELS[task or "detection"]
        config = get_config(name, *changes, task=task)
        log.info(f"No checkpoint: {config.name} is initialized with random weights")
        return LoadedModel(build_from_config(config), config, class_names(config))
    run_config = files.join(run_folder_of(path), CONFIG_FILE)
    found = identify(path)
    if files.is_file(run_config):
        config = config_from_yaml(run_config, *changes)
        if model_name not in (None, config.name):
            raise UserError(
                f"{path} is a run of {config.name}, not of {model_name}: use {config.name}, or "
                "do not name a model"
            )
        if task not in (None, config.task):
            raise UserError(f"{path} is a run of {config.task}, not of {task}")
    else:
        task = task or (found.task if found.task in DEFAULT_MODELS else None)
        config = get_config(_model_name(path, model_name, found, task), *changes, task=task)
    if found.task not in (None, config.task):
        name = found.model or found.backbone_name
        raise UserError(f"{path} is {found.described(name)}, not for {config.task}")
    _follow_checkpoint(config, found, path)
    model = build_from_config(config)
    report = load_weights(model, path, use_ema=use_ema)
    _check_complete(path, report)
    return LoadedModel(model, config, class_names(config, path), report)


def load_detector(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    **options: Any,
) -> LoadedModel:
    """Loads a detector; see `load_model`."""
    return load_model(path, model_name, hparams, task="detection", **options)


def load_classifier(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    **options: Any,
) -> LoadedModel:
    """Loads a classifier; see `load_model`."""
    return load_model(path, model_name, hparams, task="classification", **options)


def load_segmenter(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    **options: Any,
) -> LoadedModel:
    """Loads a segmenter without its auxiliary output; see `load_model`.

    A published file with an input size in its name (`..._1024x512.pth`) gets that size.
    """
    return load_model(path, model_name, hparams, task="segmentation", **options)


def _follow_checkpoint(config: TrainingConfig, found: Identified, path: AnyPath) -> None:
    """Sets and logs what is known from the checkpoint and was not set by the user."""
    if isinstance(config, SegmentationConfig):
        for line in [*apply_published_size(config, path), *apply_decoder(config, found)]:
            log.info(line)
        config.override({"auxiliary": False, "heads": ["segmentation"]})
        return
    if isinstance(config, SsdConfig):
        for line in apply_published_size(config, path):
            log.info(line)
    if isinstance(config, ClassificationConfig | SsdConfig):
        if found.num_classes not in (None, config.num_classes) and not config.is_set("num_classes"):
            config.override({"num_classes": found.num_classes})
            log.info(f"num_classes={found.num_classes} (read from the checkpoint)")
        return
    given = [name for name in config.as_dict() if config.is_set(name)]
    for line in apply_checkpoint_architecture(config, found, given):
        log.info(line)


def _check_complete(path: AnyPath, report: LoadReport) -> None:
    """Checks that a network for inference has all weights; warns of a class head that differs."""
    if report.missing:
        raise UserError(
            f"the checkpoint {path} lacks {len(report.missing)} variables of the model, the first "
            f"is {report.missing[0]}: specify the model (and fpn_name) of the checkpoint"
        )
    if report.skipped:
        name, (ours, theirs) = next(iter(report.skipped.items()))
        log.info(
            f"WARNING: {len(report.skipped)} variables keep random values because their shapes "
            f"differ ({name}: {list(ours)} here, {list(theirs)} in {path}): predictions are "
            "meaningless until the class head is trained; set num_classes to the checkpoint's"
        )


def _model_name(path: AnyPath, given: str | None, found: Identified, task: str | None) -> str:
    if given is not None:
        return given
    if found.model not in list_models(task):
        looks_like = f"; it looks like {found.model}" if found.model else ""
        kind = f" of a {_KINDS[task]}" if task else ""
        raise UserError(
            f"the variables of {path} do not identify the model{kind}"
            f"{looks_like}: specify it, one of {', '.join(list_models(task))}"
        )
    log.info(f"{path}: this looks like {found.model}")
    return found.model


def run_folder_of(path: AnyPath) -> str:
    """Returns the folder where a run's `config.yaml` and `labels.json` would be.

    For a checkpoint in `<model_dir>/archive` it is `<model_dir>`, unless the archive has its own.
    """
    folder = files.as_text(path) if files.is_folder(path) else files.parent(path)
    is_archive = files.base_name(folder) == "archive"
    if is_archive and not files.is_file(files.join(folder, CONFIG_FILE)):
        return files.parent(folder)
    return folder


def class_names(config: TrainingConfig, path: AnyPath | None = None) -> dict[int, str]:
    """Returns the class names of a model: class number (1..K, for segmenters from 0) -> name.

    They come from the run's `labels.json`, then from the hyper-parameter `label_map`, then from
    the published data sets by the number of classes: COCO or PASCAL VOC for detectors, PASCAL VOC
    (21) or Cityscapes (20) for segmenters. Else empty.
    """
    of_masks = isinstance(config, SegmentationConfig)
    folder = None if path is None else run_folder_of(path)
    if folder is not None and files.is_file(files.join(folder, LABELS_FILE)):
        return read_labels(files.join(folder, LABELS_FILE), of_masks=of_masks)
    named = resolve_label_map(config.label_map, of_masks=of_masks)
    if isinstance(config, ClassificationConfig):
        return network_names(named or {})
    if of_masks:
        return named or published_names(config.num_classes)
    if named is not None:
        return named
    is_ssd = isinstance(config, SsdConfig)
    if is_ssd and folder is not None and files.is_file(files.join(folder, CONFIG_FILE)):
        return {}  # An own run may happen to have as many classes as PASCAL VOC.
    return _detector_names(config.num_object_classes, is_ssd)


def checkpoint_class_names(path: AnyPath) -> dict[int, str]:
    """Returns the names of the classes that a checkpoint's head was trained on.

    They come from its run's `labels.json` or `label_map`; for a published checkpoint, from its
    data set, if the number of classes identifies it. Else empty.

    Returns:
        Class number (1..K, for segmenters from 0) -> name.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    folder = run_folder_of(path)
    own_config, labels = (files.join(folder, name) for name in (CONFIG_FILE, LABELS_FILE))
    if files.is_file(own_config):
        config = config_from_yaml(own_config)
        return class_names(config, path) if config.label_map or files.is_file(labels) else {}
    found = identify(path)
    of_masks = found.task == "segmentation"
    if files.is_file(labels):
        return read_labels(labels, of_masks=of_masks)
    if of_masks:
        return published_names(found.num_classes or 0)
    is_ssd = found.task == "detection"
    return _detector_names((found.num_classes or 0) - is_ssd, is_ssd)


def _detector_names(num_object_classes: int, is_ssd: bool) -> dict[int, str]:
    """The class names of the published detectors, by their number of classes."""
    if is_ssd:
        published = {20: BUILTIN["voc"], 80: network_names(BUILTIN["coco"])}
    else:
        published = {COCO_CLASSES: BUILTIN["coco"]}
    return dict(published.get(num_object_classes, {}))


def serving_metadata(loaded: LoadedModel, *, batch_size: int | None) -> ModelMetadata:
    """Returns the metadata of an export of this model."""
    config = loaded.config
    facts = {
        "model_name": config.name,
        "image_hw": config.image_hw,
        "class_names": dict(loaded.class_names),
        "batch_size": batch_size,
    }
    if isinstance(config, SegmentationConfig):
        return SegmenterMetadata(
            **facts,
            num_classes=config.num_classes,
            palette=[list(c) for c in palette_of(loaded.class_names, config.num_classes)],
            preprocessing={
                "resize": "bilinear, antialiased, to whole grey levels",
                "mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist(),
                "stddev_rgb": np.broadcast_to(config.stddev_rgb, 3).tolist(),
            },
        )
    if isinstance(config, ClassificationConfig):
        return ClassifierMetadata(
            **facts,
            num_classes=config.num_classes,
            multilabel=config.multi_label,
            crop_fraction=crop_fraction_of(config),
        )
    is_ssd = isinstance(config, SsdConfig)
    return DetectorMetadata(
        **facts,
        num_classes=config.num_object_classes,
        family="ssd" if is_ssd else "efficientdet",
        fpn_name=None if is_ssd else config.fpn_name or "bifpn",
        nms={**dataclasses.asdict(config.nms_configs)},
    )
