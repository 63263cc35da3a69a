"""`--preflight`: data and recipe are looked at before the first step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping

from absl import flags

from efficientvision.configs import DetectionConfig
from efficientvision.data.preflight.box_checks import (
    box_findings,
    objects_per_image_findings,
    photo_findings,
)
from efficientvision.data.preflight.class_checks import check_classes, class_findings
from efficientvision.data.preflight.file_checks import file_findings
from efficientvision.data.preflight.findings import (
    ERROR,
    WARNING,
    Finding,
    counted,
    format_findings,
    raise_on_errors,
)
from efficientvision.data.preflight.ground_truth_checks import id_findings, overlap_findings
from efficientvision.data.preflight.record_scan import RecordScan, scan_records
from efficientvision.tasks.anchor_checks import anchor_findings
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe_checks import recipe_findings
from efficientvision.training.schedules import WarmupSchedule

_WIDTHS = (90, 160)


def run(
    given: flags.FlagValues,
    config: DetectionConfig,
    names: Mapping[int, str],
    plan: TrainingPlan,
    schedule: WarmupSchedule,
) -> None:
    """Prints what was found; with `--preflight=false` only makes sure that the classes fit.

    Raises:
        UserError: Something cannot work; or a file is damaged or missing.
    """
    if given.preflight == "false":
        for pattern in filter(None, (given.train_file_pattern, given.val_file_pattern)):
            check_classes(pattern, config.num_classes, names)
        return
    start = time.perf_counter()
    train = _scan(given.train_file_pattern, config, "training records")
    val = _scan(given.val_file_pattern, config, "evaluation records")
    findings = _training_findings(train, config, names)
    if val is not None:
        findings += _evaluation_findings(val, train, given, config, names)
    if train.num_records:
        from_scratch = not (given.ckpt or given.backbone_ckpt)
        findings += recipe_findings(
            config, plan, schedule, num_records=train.num_records, from_scratch=from_scratch
        )
    seconds = time.perf_counter() - start
    print(f"Preflight ({seconds:.1f} s; --preflight=false skips it, only stops after it):")
    print(format_findings(findings, _table_width()))
    print(_summary(findings))
    raise_on_errors(findings)


def _scan(pattern: str | None, config: DetectionConfig, what: str) -> RecordScan | None:
    if not pattern:
        return None
    return scan_records(
        pattern,
        regenerate_source_id=config.regenerate_source_id,
        description=f"looking at the {what}",
    )


def _training_findings(
    scan: RecordScan, config: DetectionConfig, names: Mapping[int, str]
) -> list[Finding]:
    findings = file_findings(scan, "train")
    if not scan.num_read:
        return findings
    findings += class_findings(scan, "train", config.num_classes, names)
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
        findings += anchor_findings(scan, config.anchor_options, names)
    return findings


def _evaluation_findings(
    val: RecordScan,
    train: RecordScan,
    given: flags.FlagValues,
    config: DetectionConfig,
    names: Mapping[int, str],
) -> list[Finding]:
    findings = file_findings(val, "val")
    if not val.num_read:
        return findings
    findings += class_findings(val, "val", config.num_classes, names)
    findings += box_findings(val, "val", needed=not (given.val_json_file or given.testdev_dir))
    if not given.testdev_dir:
        findings += id_findings(
            val, given.val_json_file or None, regenerated=config.regenerate_source_id
        )
    return findings + overlap_findings(train, val)


def _table_width() -> int:
    columns = shutil.get_terminal_size((120, 40)).columns
    return min(max(columns, _WIDTHS[0]), _WIDTHS[1])


def _summary(findings: list[Finding]) -> str:
    errors = sum(finding.level == ERROR for finding in findings)
    warnings = sum(finding.level == WARNING for finding in findings)
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}."
