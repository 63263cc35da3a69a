"""Preflight checks of segmentation data: records, masks, classes, crops."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.configs.run_options import RunOptions
from efficientvision.preflight.file_checks import file_findings, overlap_findings
from efficientvision.preflight.findings import Finding
from efficientvision.tasks.segmentation.checks import (
    MaskScan,
    mask_findings,
    mask_split_findings,
    scan_masks,
    window_findings,
)
from efficientvision.tasks.segmentation.class_names import name_findings
from efficientvision.tasks.segmentation.config import SegmentationConfig


def data_findings(
    options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
) -> tuple[list[Finding], int]:
    """Returns the findings on masks and photos, and the number of training records."""
    scans: dict[str, MaskScan] = {}
    findings: list[Finding] = []
    for part, pattern in options.record_patterns.items():
        scan = scan_masks(
            pattern,
            regenerate_source_id=config.regenerate_source_id,
            description=f"scanning the {part} masks",
        )
        findings += file_findings(scan.records, part)
        if not scan.records.num_read:
            continue
        scans[part] = scan
        findings += mask_findings(scan, part, config.num_classes, names)
        if part == "train":
            findings += window_findings(scan, config.image_hw, config.scale_range)
    findings += name_findings(options, names)
    if len(scans) == 2:
        findings += mask_split_findings(scans["train"], scans["val"], names)
        findings += overlap_findings(scans["train"].records, scans["val"].records)
    return findings, scans["train"].records.num_records if "train" in scans else 0
