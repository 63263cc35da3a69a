"""A network with its configuration and class names, from a checkpoint of any kind."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from efficientvision import files
from efficientvision.api import build_from_config, load_weights
from efficientvision.configs import (
    ClassificationConfig,
    TrainingConfig,
    config_from_yaml,
    get_config,
)
from efficientvision.data.class_order import network_names
from efficientvision.data.labels import BUILTIN, read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.export.classification_serving import crop_fraction_of
from efficientvision.export.metadata import ClassifierMetadata, DetectorMetadata, ModelMetadata
from efficientvision.files import AnyPath
from efficientvision.registry import list_models
from efficientvision.weights.identify import (
    Identified,
    apply_checkpoint_architecture,
    identify,
)
from efficientvision.weights.report import LoadReport

CONFIG_FILE = "config.yaml"
LABELS_FILE = "labels.json"
COCO_CLASSES = 90
DEFAULT_MODELS = {"detection": "efficientdet-d0", "classification": "efficientnet-b0"}
DEFAULT_MODEL = DEFAULT_MODELS["detection"]


@dataclass
class LoadedModel:
    """What `load_model` found.

    Attributes:
        model: the network with its weights.
        config: its hyper-parameters, of its task's kind.
        class_names: class number (1..K) -> name; may be empty.
        report: the `LoadReport`, None for random weights.
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
    """Builds the network that a checkpoint was made for, and loads it.

    What `hparams` and `overrides` do not say comes from the run's own `config.yaml`, then from the
    checkpoint's names and shapes (model, fusion, number of classes), then from the defaults.
    Prints what was chosen, and the report of the loading.

    Args:
        path: a checkpoint of any kind; None: random weights.
        model_name: None: the checkpoint's.
        hparams: overrides as text, a YAML file, or a dict.
        task: "detection" or "classification"; None: as the model's name says.
        use_ema: prefer moving averages of the weights.
        **overrides: further hyper-parameters by name.

    Raises:
        UserError: the checkpoint is missing, cut short, or one of another model or task; or a
            hyper-parameter is unknown.
    """
    changes = [hparams, overrides or None]
    if path is None:
        name = model_name or DEFAULT_MODELS[task or "detection"]
        config = get_config(name, *changes, task=task)
        print(f"No checkpoint: {config.name} has random weights")
        return LoadedModel(build_from_config(config), config, class_names(config))
    run_config = files.join(run_folder_of(path), CONFIG_FILE)
    found = identify(path)
    if files.is_file(run_config):
        config = config_from_yaml(run_config, *changes)
        if model_name not in (None, config.name):
            raise UserError(
                f"{path} is a run of {config.name}, not of {model_name}: name {config.name}, or "
                "leave the model's name out"
            )
        if task not in (None, config.task):
            raise UserError(f"{path} is a run of {config.task}, not of {task}")
    else:
        config = get_config(_model_name(path, model_name, found, task), *changes, task=task)
    if found.task not in (None, config.task):
        name = found.model or found.backbone_name
        raise UserError(f"{path} is {found.described(name)}, not for {config.task}")
    _follow_checkpoint(config, found)
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
    """`load_model` of a detector."""
    return load_model(path, model_name, hparams, task="detection", **options)


def load_classifier(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    **options: Any,
) -> LoadedModel:
    """`load_model` of a classifier."""
    return load_model(path, model_name, hparams, task="classification", **options)


def _follow_checkpoint(config: TrainingConfig, found: Identified) -> None:
    """Sets, and prints, what the checkpoint tells and the user did not say."""
    if isinstance(config, ClassificationConfig):
        if found.num_classes not in (None, config.num_classes) and not config.is_set("num_classes"):
            config.override({"num_classes": found.num_classes})
            print(f"num_classes={found.num_classes} (read from the checkpoint)")
        return
    given = [name for name in config.as_dict() if config.is_set(name)]
    for line in apply_checkpoint_architecture(config, found, given):
        print(line)


def _check_complete(path: AnyPath, report: LoadReport) -> None:
    """A network for inference must have all its weights; a class head of another size is told."""
    if report.missing:
        raise UserError(
            f"the checkpoint {path} lacks {len(report.missing)} variables of the model, the first "
            f"is {report.missing[0]}: name the model (and fpn_name) that it was made for"
        )
    if report.skipped:
        name, (ours, theirs) = next(iter(report.skipped.items()))
        print(
            f"WARNING: {len(report.skipped)} variables keep random values, their shapes differ "
            f"({name}: {list(ours)} here, {list(theirs)} in {path}): what the class head says "
            "means nothing before it is trained; set num_classes to the checkpoint's"
        )


def _model_name(path: AnyPath, given: str | None, found: Identified, task: str | None) -> str:
    if given is not None:
        return given
    if found.model not in list_models(task):
        looks_like = f"; it looks like {found.model}" if found.model else ""
        kind = {"detection": " of a detector", "classification": " of a classifier"}.get(task, "")
        raise UserError(
            f"{path} is not the checkpoint{kind} that can be told by its variables"
            f"{looks_like}: give the model's name, one of {', '.join(list_models(task))}"
        )
    print(f"{path}: this looks like {found.model}")
    return found.model


def run_folder_of(path: AnyPath) -> str:
    """The folder in which a run's `config.yaml` and `labels.json` would stand.

    For a checkpoint in `<model_dir>/archive` that is `<model_dir>`, if the archive has no own.
    """
    folder = files.as_text(path) if files.is_folder(path) else files.parent(path)
    is_archive = files.base_name(folder) == "archive"
    if is_archive and not files.is_file(files.join(folder, CONFIG_FILE)):
        return files.parent(folder)
    return folder


def class_names(config: TrainingConfig, path: AnyPath | None = None) -> dict[int, str]:
    """Class number (1..K) -> name: from the run's `labels.json`, then from the hyper-parameter
    `label_map`, then, for a detector of the published 90 classes, COCO's. Else empty.
    """
    if path is not None:
        labels = files.join(run_folder_of(path), LABELS_FILE)
        if files.is_file(labels):
            return read_labels(labels)
    named = resolve_label_map(config.label_map)
    if isinstance(config, ClassificationConfig):
        return network_names(named or {})
    if named is not None:
        return named
    return dict(BUILTIN["coco"]) if config.num_classes == COCO_CLASSES else {}


def checkpoint_class_names(path: AnyPath) -> dict[int, str]:
    """Class number (1..K) -> name of the classes that a checkpoint's head was trained on.

    Those of its run's `labels.json` or `label_map`; COCO's for a published checkpoint of 90
    classes. Else empty.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    folder = run_folder_of(path)
    own_config, labels = (files.join(folder, name) for name in (CONFIG_FILE, LABELS_FILE))
    if files.is_file(labels):
        return read_labels(labels)
    if files.is_file(own_config):
        return resolve_label_map(config_from_yaml(own_config).label_map) or {}
    return dict(BUILTIN["coco"]) if identify(path).num_classes == COCO_CLASSES else {}


def serving_metadata(loaded: LoadedModel, *, batch_size: int | None) -> ModelMetadata:
    """What an export of this model says about itself."""
    config = loaded.config
    facts = {
        "model_name": config.name,
        "image_hw": config.image_hw,
        "num_classes": config.num_classes,
        "class_names": dict(loaded.class_names),
        "batch_size": batch_size,
    }
    if isinstance(config, ClassificationConfig):
        return ClassifierMetadata(
            **facts, multilabel=config.multi_label, crop_fraction=crop_fraction_of(config)
        )
    return DetectorMetadata(
        **facts,
        fpn_name=config.fpn_name or "bifpn",
        nms={**dataclasses.asdict(config.nms_configs)},
    )
