"""`main.py` for detectors: EfficientDet, and SSD on any backbone."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Mapping
from typing import Any

from efficientvision import files
from efficientvision.configs import DetectionConfig, DetectorConfig, SsdConfig
from efficientvision.data.labels import find_labels
from efficientvision.data.preflight.box_checks import (
    box_findings,
    objects_per_image_findings,
    photo_findings,
)
from efficientvision.data.preflight.class_checks import (
    check_classes,
    class_findings,
    numbering_findings,
)
from efficientvision.data.preflight.file_checks import file_findings
from efficientvision.data.preflight.findings import ERROR, Finding, raise_on_first
from efficientvision.data.preflight.ground_truth_checks import id_findings, overlap_findings
from efficientvision.data.preflight.name_checks import truth_name_findings
from efficientvision.data.preflight.record_scan import RecordScan, scan_records
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE, LoadedModel, load_detector, run_folder_of
from efficientvision.runs import evaluation_views, testdev
from efficientvision.runs.options import RunOptions
from efficientvision.runs.task_setup import (
    TaskSetup,
    check_freeze,
    count_images,
    factor_beside_backbone,
)
from efficientvision.tasks.anchor_checks import anchor_findings, prior_findings
from efficientvision.tasks.detection import DetectionTask
from efficientvision.tasks.detector import DetectorTask
from efficientvision.tasks.ssd import SsdTask
from efficientvision.weights.identify import apply_checkpoint_architecture, identify

log = logging.getLogger(__name__)

# An SSD's `--dataset` -> hyper-parameters. COCO's records have its own numbers, 1 to 90.
DATASETS = {
    "pascal": {"num_classes": 21, "label_map": "voc"},
    "coco": {"num_classes": 91, "label_map": "coco", "voc_metrics": False},
}
# Classes of networks for them: those of EdgeNets number COCO's without gaps.
_NUM_CLASSES = {"pascal": (21,), "coco": (91, 81)}


class DetectorSetup(TaskSetup):
    """What all detectors have in common: boxes, COCO metrics.

    Attributes:
        counts_background: Whether `num_classes` does.
    """

    takes_ground_truth_file = True
    counts_background: bool

    def check_options(self, options: RunOptions) -> None:
        testdev.check_options(options)
        evaluation_views.check_options(options)

    @abc.abstractmethod
    def new_task(self, config: DetectorConfig, **options: Any) -> DetectorTask:
        """The task of a configuration; `options` are `DetectorTask`'s."""

    @abc.abstractmethod
    def anchor_findings(
        self, scan: RecordScan, config: DetectorConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        """What the preflight says of anchors and boxes."""

    def build_task(
        self, options: RunOptions, config: DetectorConfig, names: Mapping[int, str]
    ) -> DetectorTask:
        if options.mode == "eval":
            self._check_records(options.val_file_pattern, config, names)
            raise_on_first(self._truth_name_findings(options, config, names))
        return self.new_task(
            config,
            training_files=options.train_file_pattern,
            evaluation_files=options.val_file_pattern,
            ground_truth_json=None if options.testdev_dir else options.val_json_file,
            class_names=names,
            evaluation_images=options.eval_samples,
            fake_data=options.use_fake_data,
            testdev_dir=options.testdev_dir,
            testdev_info_file=options.testdev_info_file,
            views=evaluation_views.build_views(options, config),
            data_service=options.tf_data_service or None,
        )

    def check_classes(
        self, options: RunOptions, config: DetectorConfig, names: Mapping[int, str]
    ) -> None:
        for part in ("train", "val"):
            if pattern := getattr(options, f"{part}_file_pattern"):
                self._check_records(pattern, config, names, part)
        raise_on_first(self._truth_name_findings(options, config, names))

    def _truth_name_findings(
        self, options: RunOptions, config: DetectorConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        """Whether the ground truth of the evaluation numbers the classes as the network does."""
        if not options.val_file_pattern or options.testdev_dir:
            return []
        training = options.train_file_pattern if options.mode != "eval" else None
        learnt = find_labels(training) if training else None
        if learnt is None and config.is_written("label_map"):
            return []  # The user names the classes of these records.
        return truth_name_findings(
            learnt or names,
            options.val_file_pattern,
            options.val_json_file,
            renamed=learnt is None and config.label_map is not None,
        )

    def _check_records(
        self, pattern: str, config: DetectorConfig, names: Mapping[int, str], part: str = "val"
    ) -> None:
        check_classes(
            pattern,
            config.num_object_classes,
            names,
            part=part,
            counts_background=self.counts_background,
        )

    def findings(
        self, options: RunOptions, config: DetectorConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        train = _scan(options.train_file_pattern, config, "training records")
        val = _scan(options.val_file_pattern, config, "evaluation records")
        findings = self._training_findings(train, config, names)
        if val is not None:
            findings += self._evaluation_findings(val, train, options, config, names)
        return findings, train.num_records

    def load(self, options: RunOptions) -> LoadedModel:
        named = options.model_name if "model_name" in options.written else None
        loaded = load_detector(
            options.model_dir, named, options.hparams, **options.hyper_parameters
        )
        own = files.is_file(files.join(run_folder_of(options.model_dir), CONFIG_FILE))
        # For test-dev the classes of the detector count, whose records have no objects.
        if not (own or options.testdev_dir):
            loaded.class_names = self.class_names(loaded.config)
        return loaded

    def _training_findings(
        self, scan: RecordScan, config: DetectorConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        findings = file_findings(scan, "train")
        if not scan.num_read:
            return findings
        findings += self._class_findings(scan, "train", config, names)
        boxes = box_findings(scan, "train")
        findings += boxes
        findings += objects_per_image_findings(
            scan,
            config.max_instances_per_image,
            skip_crowd=config.skip_crowd_during_training,
        )
        findings += photo_findings(scan, config.image_hw)
        # Anchors for boxes that are wrong would be advice in the wrong direction.
        if all(finding.level != ERROR for finding in boxes):
            findings += self.anchor_findings(scan, config, names)
        return findings

    def _evaluation_findings(
        self,
        val: RecordScan,
        train: RecordScan,
        options: RunOptions,
        config: DetectorConfig,
        names: Mapping[int, str],
    ) -> list[Finding]:
        findings = file_findings(val, "val")
        if not val.num_read:
            return findings
        findings += self._class_findings(val, "val", config, names)
        findings += self._truth_name_findings(options, config, names)
        findings += box_findings(
            val, "val", needed=not (options.val_json_file or options.testdev_dir)
        )
        if not options.testdev_dir:
            findings += id_findings(
                val, options.val_json_file or None, regenerated=config.regenerate_source_id
            )
        findings += numbering_findings(train, val, names)
        return findings + overlap_findings(train, val)

    def _class_findings(
        self, scan: RecordScan, part: str, config: DetectorConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        return class_findings(
            scan,
            part,
            config.num_object_classes,
            names,
            counts_background=self.counts_background,
        )


class DetectionSetup(DetectorSetup):
    """EfficientDet."""

    counts_background = False
    architecture = (
        "fpn_name",
        "fpn_weight_method",
        "fpn_cell_repeats",
        "fpn_num_filters",
        "box_class_repeats",
        "num_classes",
        "num_scales",
        "aspect_ratios",
    )

    def check_options(self, options: RunOptions) -> None:
        super().check_options(options)
        if options.dataset:
            raise UserError(
                f"`dataset={options.dataset}` does not apply to EfficientDet. Remove it, or add "
                "`task=classification` and a classifier's `model_name`, or for an SSD "
                "`task=detection` and a backbone's."
            )

    def check_config(self, options: RunOptions, config: DetectionConfig) -> None:
        if "segmentation" in config.heads:
            raise UserError(
                "heads names segmentation, which main.py cannot train in this version (it builds, "
                "loads and runs): train with heads=object_detection."
            )

    def fit_to_checkpoint(self, config: DetectionConfig, ckpt: str) -> list[str]:
        return apply_checkpoint_architecture(config, identify(ckpt))

    def new_task(self, config: DetectionConfig, **options: Any) -> DetectorTask:
        return DetectionTask(config, **options)

    def anchor_findings(
        self, scan: RecordScan, config: DetectionConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        return anchor_findings(scan, config.anchor_options, names)


class SsdSetup(DetectorSetup):
    """SSD."""

    counts_background = True
    architecture = ("num_classes", "act_type", "build_size")

    def check_options(self, options: RunOptions) -> None:
        super().check_options(options)
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` is of another task; an SSD has "
                f"{' and '.join(DATASETS)}."
            )
        if evaluation_views.asks_for_scales(options):
            raise UserError(
                f"`test_scales={options.test_scales}` is for EfficientDet; an SSD's photos always "
                "fill its input: leave it out, `test_flip` works."
            )

    def check_config(self, options: RunOptions, config: SsdConfig) -> None:
        check_freeze(config, "an SSD")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_data(self, options: RunOptions, config: SsdConfig | None) -> RunOptions:
        """Takes numbers of images and classes from the records."""
        options = count_images(options, options.val_file_pattern)
        if config is None or config.is_set("num_classes"):
            return options
        names = self.class_names(config, options.train_file_pattern, options.val_file_pattern)
        if names:
            config.override({"num_classes": max(names) + 1})
            log.info(
                f"num_classes={config.num_classes}, from the names beside the records: "
                f"{max(names)} and the background."
            )
        return options

    def rate_factor(self, config: SsdConfig) -> Callable[[str], float] | None:
        """The learning rate of all but the backbone is `lr_mult` times the backbone's."""
        return factor_beside_backbone(config.lr_mult)

    def load(self, options: RunOptions) -> LoadedModel:
        loaded = super().load(options)
        count = loaded.config.num_classes
        known = _NUM_CLASSES.get(options.dataset, (count,))
        if count not in known:
            raise UserError(
                f"`dataset={options.dataset}` has {known[0]} classes with the background, and the "
                f"network in {options.model_dir} {count}: leave `dataset` out."
            )
        return loaded

    def new_task(self, config: SsdConfig, **options: Any) -> DetectorTask:
        return SsdTask(config, **options)

    def anchor_findings(
        self, scan: RecordScan, config: SsdConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        return prior_findings(scan, config.anchor_options, names)


def _scan(pattern: str | None, config: DetectorConfig, what: str) -> RecordScan | None:
    if not pattern:
        return None
    return scan_records(
        pattern,
        regenerate_source_id=config.regenerate_source_id,
        description=f"looking at the {what}",
    )
