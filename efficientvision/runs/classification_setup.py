"""`main.py` for image classifiers."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from efficientvision.configs import ClassificationConfig
from efficientvision.data.class_order import class_ids, network_names
from efficientvision.data.labels import BUILTIN, find_labels
from efficientvision.data.preflight.file_checks import file_findings
from efficientvision.data.preflight.findings import ERROR, Finding
from efficientvision.data.preflight.ground_truth_checks import overlap_findings
from efficientvision.data.preflight.label_checks import (
    label_findings,
    numbered,
    picture_findings,
    split_findings,
)
from efficientvision.data.preflight.record_scan import RecordScan, scan_records
from efficientvision.errors import UserError
from efficientvision.loading import LoadedModel, load_classifier
from efficientvision.runs.options import RunOptions
from efficientvision.runs.task_setup import TaskSetup, check_freeze, count_images, record_names
from efficientvision.tasks.classification import ClassificationTask

log = logging.getLogger(__name__)

_OF_OTHERS = (
    "val_json_file",
    "testdev_dir",
    "testdev_info_file",
    "test_flip",
    "test_scales",
    "test_merge",
    "test_iou_thresh",
)
_EVAL_BATCH_SIZE = 32

# `--dataset` -> hyper-parameters.
DATASETS = {
    "imagenet": {"multi_label": False},
    "coco": {"multi_label": True},
    "coco_multilabel": {"multi_label": True},
}


class ClassificationSetup(TaskSetup):
    """Image classifiers: one class an image, or several."""

    architecture = ("num_classes", "multi_label", "act_type", "build_size")
    takes_class_folders = True

    def check_options(self, options: RunOptions) -> None:
        if options.mode != "eval" and "model_name" not in options.written:
            raise UserError(
                "`task=classification` needs the name of a classifier: `model_name=espnetv2_s_1.0` "
                "or efficientnet-b0 for example."
            )
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` is for segmentation: add `task=segmentation`, or "
                "remove it."
            )
        for name in _OF_OTHERS:
            if name in options.written and getattr(options, name):
                raise UserError(f"`{name}` is of other tasks; a classifier has no use for it.")

    def check_config(self, options: RunOptions, config: ClassificationConfig) -> None:
        check_freeze(config, "a classifier")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_data(self, options: RunOptions, config: ClassificationConfig | None) -> RunOptions:
        """Takes numbers of images and classes from the records."""
        options = count_images(options, options.val_file_pattern)
        if "eval_batch_size" not in options.written:
            options = options.replace(eval_batch_size=_EVAL_BATCH_SIZE)
        if config is None or config.is_set("num_classes"):
            return options
        raw = _raw_names(
            config, options.dataset, options.train_file_pattern, options.val_file_pattern
        )
        if raw:
            config.override({"num_classes": len(raw)})
            log.info(f"num_classes={len(raw)}, from the names beside the records.")
        return options

    def class_names(self, config: ClassificationConfig, *patterns: str | None) -> dict[int, str]:
        dataset = "coco" if config.multi_label and config.num_classes == 80 else ""
        return network_names(_raw_names(config, dataset, *patterns))

    def build_task(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> ClassificationTask:
        if options.mode == "eval":
            names = names or self.class_names(config, options.val_file_pattern)
            self.check_classes(options, config, names)
        train, val = options.train_file_pattern, options.val_file_pattern
        return ClassificationTask(
            config,
            training_files=train,
            evaluation_files=val,
            class_names=names,
            training_ids=self._ids(config, names, train) if options.mode != "eval" else None,
            evaluation_ids=self._ids(config, names, val),
            evaluation_images=options.eval_samples,
            fake_data=options.use_fake_data,
            data_service=options.tf_data_service or None,
        )

    def check_classes(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> None:
        patterns = [] if options.mode == "eval" else [options.train_file_pattern]
        for pattern in filter(None, (*patterns, options.val_file_pattern)):
            scan = scan_records(pattern, labels_only=True)
            ids = self._ids(config, names, pattern)
            for finding in label_findings(scan, "", ids, names, multi_label=config.multi_label):
                if finding.level == ERROR:
                    raise UserError(f"{finding.found}: {finding.advice}.")

    def findings(
        self, options: RunOptions, config: ClassificationConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        scans: dict[str, RecordScan] = {}
        findings: list[Finding] = []
        for part, pattern in (
            ("train", options.train_file_pattern),
            ("val", options.val_file_pattern),
        ):
            if not pattern:
                continue
            scan = scan_records(
                pattern,
                labels_only=True,
                regenerate_source_id=config.regenerate_source_id,
                description=f"looking at the {part} records",
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

    def load(self, options: RunOptions) -> LoadedModel:
        named = options.model_name if "model_name" in options.written else None
        changes = {**(self.dataset_changes(options) or {}), **options.hyper_parameters}
        return load_classifier(options.model_dir, named, options.hparams, **changes)

    def _ids(
        self, config: ClassificationConfig, names: Mapping[int, str], pattern: str | None
    ) -> list[int]:
        """The class ids of records in the order of the network's outputs."""
        raw = find_labels(pattern) if pattern else None
        if raw is None:
            raw = _raw_names(config, "coco" if config.multi_label else "", pattern)
        return class_ids(names, raw, config.num_classes, what=str(pattern))


def _raw_names(config: ClassificationConfig, dataset: str, *patterns: str | None) -> dict[int, str]:
    """Names by the records' class ids; COCO's where nothing else names them and it is COCO."""
    named = record_names(config, *patterns)
    if not named and dataset.startswith("coco") and config.num_classes in (80, 1000):
        return dict(BUILTIN["coco"])
    return named
