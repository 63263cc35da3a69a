"""The classification task: how it is configured, trained, evaluated, exported and used."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from PIL import Image

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import data_errors, iterate
from efficientvision.data.class_order import class_ids, network_names
from efficientvision.data.imagenet_names import NUM_CLASSES, imagenet_names
from efficientvision.data.labels import BUILTIN, find_labels
from efficientvision.data.record_files import FilePattern
from efficientvision.data.sources.layout import BOXES, CLASSES
from efficientvision.errors import UserError
from efficientvision.evaluation.thresholds import ScoreThresholds
from efficientvision.preflight.file_checks import file_findings, overlap_findings
from efficientvision.preflight.findings import Finding, raise_on_first
from efficientvision.preflight.record_scan import RecordScan, scan_records
from efficientvision.registry import classifier_image_size
from efficientvision.tasks.base import Task
from efficientvision.tasks.build import batch_norm_options, build_by_name, family_options
from efficientvision.tasks.classification.checks import (
    label_findings,
    numbered,
    picture_findings,
    split_findings,
)
from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.classification.data_defaults import ClassifierDefaults
from efficientvision.tasks.classification.evaluate_export import evaluate_classifier_export
from efficientvision.tasks.classification.evaluation import draw_training_images
from efficientvision.tasks.classification.export_checks import ClassificationChecks
from efficientvision.tasks.classification.labels import LABELS
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.network import build_classifier
from efficientvision.tasks.classification.pipeline import classification_dataset
from efficientvision.tasks.classification.portable import portable_classifier
from efficientvision.tasks.classification.predictor import Classifier, usual_threshold
from efficientvision.tasks.classification.serving import (
    classification_serving,
    crop_fraction_of,
    fit_photos,
)
from efficientvision.tasks.classification.training_task import (
    ClassificationTrainingTask,
    cropping_of,
)
from efficientvision.tasks.loaded_model import LoadedModel, export_facts, score_facts
from efficientvision.tasks.portable import PhotoRunner, PortableNetwork, RunPhotos
from efficientvision.tasks.records import record_options
from efficientvision.tasks.serving import Serving
from efficientvision.tasks.setup import (
    check_freeze,
    count_images,
    record_names,
    take_num_classes,
)
from efficientvision.weights.identify import Identified

log = logging.getLogger(__name__)

_EVAL_BATCH_SIZE = 32

# Option `dataset` -> hyper-parameters.
DATASETS = {
    "imagenet": {"multi_label": False},
    "coco": {"multi_label": True},
    "coco_multilabel": {"multi_label": True},
}


class ClassificationTask(Task):
    """Image classification with one or several classes per image."""

    noun = "a classifier"
    pipeline_tag = "image-classification"
    default_model = "efficientnet-b0"
    metadata_class = ClassificationMetadata
    predictor_class = Classifier
    labels = LABELS
    settings = ("min_score_thresh",)
    # EfficientNet's and the EdgeNets' names of it; all else is the backbone.
    parts = {"head": "classifier head", "classifier": "classifier head"}
    usual_rate = (0.1, 512)
    data_defaults = ClassifierDefaults()
    architecture = ("num_classes", "multi_label", "act_type", "build_size")
    label_kinds = (CLASSES, BOXES)  # An image has the classes of its objects.
    has_top = True

    def build(self, config: ClassificationConfig) -> keras.Model:
        return build_classifier(
            config.name,
            image_hw=config.image_hw,
            num_classes=config.num_classes,
            dropout_rate=config.dropout_rate,
            batch_norm=batch_norm_options(config),
            dtype=config.dtype_policy,
            **family_options(config),
        )

    def build_named(self, name: str, hyper_parameters: dict[str, Any], **top: Any) -> keras.Model:
        return build_by_name(
            build_classifier,
            name,
            hyper_parameters,
            task="classification",
            known=("num_classes", "image_size", "dropout_rate", "dtype"),
            image_size=classifier_image_size(name),
            **top,
        )

    def follow_checkpoint(
        self, config: ClassificationConfig, found: Identified, path: str
    ) -> list[str]:
        return take_num_classes(config, found)

    def published_names(
        self, config: ClassificationConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        if named is None and not in_run and config.num_classes == NUM_CLASSES:
            return {} if config.multi_label else dict(imagenet_names())
        return network_names(named or {})

    def is_whole(self, config: ClassificationConfig, found: Identified) -> bool:
        """A backbone without its head is a classifier that lacks it."""
        same = found.backbone_name == config.name and found.fpn_name is None
        return same and found.task in (None, self.metadata_class.task)

    def check_options(self, options: RunOptions) -> None:
        if options.mode != "eval" and "model_name" not in options.written:
            raise UserError(
                "`task=classification` needs a classifier: set `model_name`, e.g. espnetv2_s_1.0 "
                "or efficientnet-b0."
            )
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` is for segmentation: add `task=segmentation`, or "
                "remove it."
            )
        super().check_options(options)

    def check_config(self, options: RunOptions, config: ClassificationConfig) -> None:
        check_freeze(config, "a classifier")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_data(self, options: RunOptions, config: ClassificationConfig | None) -> RunOptions:
        """Fills in the numbers of images and classes from the records."""
        options = count_images(options, options.val_file_pattern)
        if "eval_batch_size" not in options.written:
            options = options.replace(eval_batch_size=_EVAL_BATCH_SIZE)
        if config is None or config.is_set("num_classes"):
            return options
        raw = _raw_names(
            config, options.dataset, options.train_file_pattern, options.val_file_pattern
        )
        if raw:
            config.override({"num_classes": self.data_defaults.num_classes(raw)})
            log.info(f"num_classes={len(raw)} (from the class names beside the records).")
        return options

    def class_names(self, config: ClassificationConfig, *patterns: str | None) -> dict[int, str]:
        dataset = "coco" if config.multi_label and config.num_classes == 80 else ""
        return network_names(_raw_names(config, dataset, *patterns))

    def build_task(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> ClassificationTrainingTask:
        if options.mode == "eval":
            names = names or self.class_names(config, options.val_file_pattern)
            self.check_classes(options, config, names)
        train, val = options.train_file_pattern, options.val_file_pattern
        return ClassificationTrainingTask(
            config,
            **record_options(options),
            class_names=names,
            training_ids=self._ids(config, names, train) if options.mode != "eval" else None,
            evaluation_ids=self._ids(config, names, val),
        )

    def check_classes(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> None:
        for part, pattern in options.record_patterns.items():
            if part == "train" and options.mode == "eval":
                continue
            scan = scan_records(pattern, labels_only=True)
            ids = self._ids(config, names, pattern)
            raise_on_first(label_findings(scan, "", ids, names, multi_label=config.multi_label))

    def findings(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        scans: dict[str, RecordScan] = {}
        findings: list[Finding] = []
        for part, pattern in options.record_patterns.items():
            scan = scan_records(
                pattern,
                labels_only=True,
                regenerate_source_id=config.regenerate_source_id,
                description=f"scanning the {part} records",
            )
            findings += file_findings(scan, part)
            if not scan.num_read:
                continue
            ids = self._ids(config, names, pattern)
            scans[part] = numbered(scan, ids)
            findings += label_findings(scan, part, ids, names, multi_label=config.multi_label)
            findings += picture_findings(scan, part)
        if len(scans) == 2:
            findings += split_findings(scans["train"], scans["val"], names)
            findings += overlap_findings(scans["train"], scans["val"])
        return findings, scans["train"].num_records if "train" in scans else 0

    def evaluate_export(
        self, options: RunOptions, run: RunPhotos, metadata: ClassificationMetadata
    ) -> dict[str, float]:
        if options.testdev_dir:
            raise UserError("`testdev_dir` does not apply to a classifier: remove it")
        pattern = options.val_file_pattern
        with data_errors(pattern):
            evaluation = evaluate_classifier_export(run, metadata, pattern, options.eval_samples)
        metrics = evaluation.compute()
        log.info(evaluation.full_report(metrics))
        return metrics

    def sample_pictures(
        self,
        file_pattern: FilePattern,
        config: ClassificationConfig,
        names: Mapping[int, str],
        *,
        training: bool,
    ) -> Iterator[Image.Image]:
        dataset = classification_dataset(
            file_pattern,
            class_ids=sorted(names),
            multi_label=True,  # Shows any number of classes.
            cropping=cropping_of(config),
            image_hw=config.image_hw,
            batch_size=1,
            training=training,
            num_epochs=1,
        )
        for batch in iterate(dataset, file_pattern):
            arrays = {name: batch[name].numpy() for name in ("images", "labels")}
            (picture,) = draw_training_images(arrays, network_names(names), 1)
            yield picture.image

    def metadata(self, loaded: LoadedModel, batch_size: int | None) -> ClassificationMetadata:
        return ClassificationMetadata(
            **export_facts(loaded, batch_size),
            num_classes=loaded.config.num_classes,
            multilabel=loaded.config.multi_label,
            crop_fraction=crop_fraction_of(loaded.config),
            **score_facts(loaded),
        )

    def serving(self, model: keras.Model, config: ClassificationConfig, **options: Any) -> Serving:
        return classification_serving(model, config, **options)

    def portable(
        self,
        model: keras.Model,
        config: ClassificationConfig,
        metadata: ClassificationMetadata,
        nms: str,
    ) -> tuple[Any, ClassificationMetadata]:
        return portable_classifier(model, config, batch_size=metadata.batch_size or 1), metadata

    def runner(self, network: PortableNetwork, metadata: ClassificationMetadata) -> RunPhotos:
        return PhotoRunner(
            network,
            metadata,
            lambda photos: fit_photos(photos, metadata.image_hw, metadata.crop_fraction),
        )

    def export_checks(
        self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
    ) -> ClassificationChecks:
        return ClassificationChecks(settings, loaded, photos)

    def apply_settings(self, loaded: LoadedModel, settings: InspectSettings) -> None:
        if settings.min_score_thresh is not None:
            usual = usual_threshold(multi_label=loaded.config.multi_label)
            loaded.thresholds = (loaded.thresholds or ScoreThresholds(usual)).changed(
                settings.min_score_thresh, loaded.class_names, loaded.config.num_classes
            )

    def export_predictor(
        self,
        run: RunPhotos,
        metadata: ClassificationMetadata | None,
        settings: InspectSettings,
        config: ClassificationConfig,
    ) -> Classifier:
        return Classifier.from_run(
            run,
            metadata,
            settings.saved_model_dir,
            min_score_thresh=settings.min_score_thresh,
            label_map=config.label_map,
        )

    def _ids(
        self, config: ClassificationConfig, names: Mapping[int, str], pattern: str | None
    ) -> list[int]:
        """Class ids of the records in the order of the network's outputs."""
        raw = find_labels(pattern) if pattern else None
        if raw is None:
            raw = _raw_names(config, "coco" if config.multi_label else "", pattern)
        return class_ids(names, raw, config.num_classes, what=str(pattern))


_TASK = ClassificationTask()


def task_for(model_name: str) -> ClassificationTask:
    """Returns the classification task; the model name does not matter."""
    return _TASK


def _raw_names(config: ClassificationConfig, dataset: str, *patterns: str | None) -> dict[int, str]:
    """Class names by the records' ids; falls back to COCO's for the COCO data set."""
    named = record_names(config, *patterns)
    if not named and dataset.startswith("coco") and config.num_classes in (80, 1000):
        return dict(BUILTIN["coco"])
    return named
