"""Checks record files: number of records; empty, missing or outdated shards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from efficientvision import files
from efficientvision.data.picture_files import orientation_of
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, counted, listed
from efficientvision.preflight.record_scan import RecordScan, scan_records

_NUMBERED = re.compile(r"(?P<prefix>.*)-(?P<index>\d{5})-of-(?P<total>\d{5})(?P<suffix>.*)")


def file_findings(scan: RecordScan, part: str) -> list[Finding]:
    """Counts records, and finds empty and missing shards.

    Args:
        scan: Scanned records.
        part: "train" or "val", for the table.
    """
    shards = counted(len(scan.paths), "file")
    if scan.complete:
        described = f"{scan.num_records:,} records in {shards}, all read"
    else:
        described = (
            f"about {scan.num_records:,} records in {shards}; {scan.num_read:,} read, from the "
            "start of each file"
        )
    subject = f"{part} files"
    if not scan.num_records:
        found = f"{shards}, but no records"
        return [Finding(ERROR, subject, found, f"{AGAIN} with dataset/create_*_tfrecord.py")]
    findings = [Finding(OK, subject, described)]
    empty = [p for p, n in zip(scan.paths, scan.file_counts, strict=True) if not n]
    if empty:
        found = f"{len(empty)} of {shards} are empty: {listed(map(files.base_name, empty))}"
        advice = f"{AGAIN}, or copy these files again: a conversion or a copy was interrupted"
        findings.append(Finding(WARNING, subject, found, advice))
    return [*findings, *_numbering_findings(scan, subject), *_turned_findings(scan, subject)]


def _turned_findings(scan: RecordScan, subject: str) -> list[Finding]:
    """Finds photos that EXIF turns: our converters store none; training sees them unturned."""
    turned = [index for index, photo in scan.photos.items() if orientation_of(photo) != 1]
    if not turned:
        return []
    found = (
        f"{len(turned)} of {counted(len(scan.photos), 'photo')} checked have an EXIF tag that "
        f"turns them, e.g. {scan.place(turned[0])}: training sees them as they are stored, but "
        "predictions see photos upright"
    )
    advice = f"{AGAIN} with dataset/create_*_tfrecord.py, which store photos upright"
    return [Finding(WARNING, subject, found, advice)]


def _numbering_findings(scan: RecordScan, subject: str) -> list[Finding]:
    """Names such as train-00002-of-00004 tell how many shards there should be."""
    sets: dict[tuple[str, ...], set[int]] = {}
    for path in scan.paths:
        if match := _NUMBERED.fullmatch(path):
            key = (match["prefix"], match["total"], match["suffix"])
            sets.setdefault(key, set()).add(int(match["index"]))
    findings = []
    for (prefix, total, suffix), present in sets.items():
        missing = sorted(set(range(int(total))) - present)
        if missing:
            names = (f"{files.base_name(prefix)}-{n:05d}-of-{total}{suffix}" for n in missing)
            found = f"{len(missing)} of {int(total)} numbered files are missing: {listed(names)}"
            advice = "copy the missing files too, unless they are left out on purpose"
            findings.append(Finding(WARNING, subject, found, advice))
    totals = Counter((prefix, suffix) for prefix, _, suffix in sets)
    for (prefix, _), count in totals.items():
        if count > 1:
            found = f"{count} conversions of {files.base_name(prefix)} in one folder"
            advice = "delete the outdated ones: the pattern matches the same photos twice"
            findings.append(Finding(WARNING, subject, found, advice))
    return findings


def files_findings(
    patterns: Mapping[str, str], *, regenerate_source_id: bool = False
) -> tuple[list[Finding], int]:
    """Checks the record files of any task.

    Args:
        patterns: See `RunOptions.record_patterns`.
        regenerate_source_id: Use a hash of the photo's bytes as its id, like the pipeline.

    Returns:
        The findings, and the number of training records.
    """
    scans = {
        part: scan_records(
            pattern,
            labels_only=True,
            regenerate_source_id=regenerate_source_id,
            description=f"looking at the {part} records",
        )
        for part, pattern in patterns.items()
    }
    findings = [one for part, scan in scans.items() for one in file_findings(scan, part)]
    if len(scans) == 2:
        findings += overlap_findings(scans["train"], scans["val"])
    return findings, scans["train"].num_records if "train" in scans else 0


def overlap_findings(train: RecordScan, val: RecordScan) -> list[Finding]:
    """Finds photos that are in both sets, by content; a lower bound if not all were read."""
    in_training = set(train.content_hashes.tolist())
    shared = [i for i, content in enumerate(val.content_hashes.tolist()) if content in in_training]
    if not shared:
        return []
    found = (
        f"{len(shared):,} of {counted(val.num_read, 'photo')} of val are also in train, e.g. "
        f"{val.place(shared[0])}"
    )
    advice = "train and val overlap, so metrics are optimistic: split the photos again"
    return [Finding(WARNING, "train and val", found, advice)]
