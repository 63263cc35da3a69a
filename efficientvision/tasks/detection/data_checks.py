"""The preflight of a detector's data: boxes, classes, anchors, ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import find_labels
from efficientvision.preflight.class_checks import check_classes, class_findings, numbering_findings
from efficientvision.preflight.file_checks import file_findings, overlap_findings
from efficientvision.preflight.findings import ERROR, Finding, raise_on_first
from efficientvision.preflight.record_scan import RecordScan, scan_records
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.box_checks import (
    box_findings,
    objects_per_image_findings,
    photo_findings,
)
from efficientvision.tasks.detection.ground_truth_checks import id_findings
from efficientvision.tasks.detection.name_checks import truth_name_findings


class _DetectorKind(Protocol):
    """What EfficientDet and SSD differ in."""

    counts_background: bool

    def anchor_findings(
        self, scan: RecordScan, config: DetectionConfig, names: Mapping[int, str]
    ) -> list[Finding]: ...


class DataChecks:
    """The records of one run, held against its configuration.

    Args:
        options: Of the run.
        config: Its hyper-parameters.
        names: Class number -> name.
        kind: EfficientDet or SSD.
    """

    def __init__(
        self,
        options: RunOptions,
        config: DetectionConfig,
        names: Mapping[int, str],
        kind: _DetectorKind,
    ):
        self._options = options
        self._config = config
        self._names = names
        self._kind = kind

    def check_classes(self, *parts: str) -> None:
        """Raises UserError where the classes of these parts' records do not fit the network."""
        for part in parts:
            if pattern := getattr(self._options, f"{part}_file_pattern"):
                check_classes(
                    pattern,
                    self._config.num_object_classes,
                    self._names,
                    part=part,
                    counts_background=self._kind.counts_background,
                )
        raise_on_first(self._truth_name_findings())

    def findings(self) -> tuple[list[Finding], int]:
        """All that is to be said, and the number of training records."""
        train = self._scan(self._options.train_file_pattern, "training records")
        val = self._scan(self._options.val_file_pattern, "evaluation records")
        findings = self._training_findings(train)
        if val is not None:
            findings += self._evaluation_findings(val, train)
        return findings, train.num_records

    def _training_findings(self, scan: RecordScan) -> list[Finding]:
        config = self._config
        findings = file_findings(scan, "train")
        if not scan.num_read:
            return findings
        findings += self._class_findings(scan, "train")
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
            findings += self._kind.anchor_findings(scan, config, self._names)
        return findings

    def _evaluation_findings(self, val: RecordScan, train: RecordScan) -> list[Finding]:
        options = self._options
        findings = file_findings(val, "val")
        if not val.num_read:
            return findings
        findings += self._class_findings(val, "val")
        findings += self._truth_name_findings()
        needed = not (options.val_json_file or options.testdev_dir)
        findings += box_findings(val, "val", needed=needed)
        if not options.testdev_dir:
            regenerated = self._config.regenerate_source_id
            findings += id_findings(val, options.val_json_file or None, regenerated=regenerated)
        findings += numbering_findings(train, val, self._names)
        return findings + overlap_findings(train, val)

    def _class_findings(self, scan: RecordScan, part: str) -> list[Finding]:
        return class_findings(
            scan,
            part,
            self._config.num_object_classes,
            self._names,
            counts_background=self._kind.counts_background,
        )

    def _truth_name_findings(self) -> list[Finding]:
        """Whether the ground truth of the evaluation numbers the classes as the network does."""
        options, config = self._options, self._config
        if not options.val_file_pattern or options.testdev_dir:
            return []
        training = options.train_file_pattern if options.mode != "eval" else None
        learnt = find_labels(training) if training else None
        if learnt is None and config.is_written("label_map"):
            return []  # The user names the classes of these records.
        return truth_name_findings(
            learnt or self._names,
            options.val_file_pattern,
            options.val_json_file,
            renamed=learnt is None and config.label_map is not None,
        )

    def _scan(self, pattern: str | None, what: str) -> RecordScan | None:
        if not pattern:
            return None
        return scan_records(
            pattern,
            regenerate_source_id=self._config.regenerate_source_id,
            description=f"looking at the {what}",
        )
