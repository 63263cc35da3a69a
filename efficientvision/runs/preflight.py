"""Option `preflight`: checks data and recipe before the first step."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.preflight.findings import (
    ERROR,
    WARNING,
    Finding,
    counted,
    format_findings,
    raise_on_errors,
)
from efficientvision.preflight.recipe_checks import recipe_findings
from efficientvision.tasks.choice import task_of_config
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.schedules import Schedule

log = logging.getLogger(__name__)

_WIDTHS = (90, 160)


def run(
    options: RunOptions,
    config: TrainingConfig,
    names: Mapping[int, str],
    plan: TrainingPlan,
    schedule: Schedule,
    of_teacher: Sequence[Finding] = (),
) -> list[Finding] | None:
    """Prints the findings; with `preflight=false` only checks that the classes fit.

    Args:
        options: Options of the run.
        config: Hyper-parameters.
        names: Class number -> name.
        plan: Length of the run.
        schedule: Learning rate by step.
        of_teacher: Findings on the teacher of `distill_from`.

    Returns:
        The findings; None with `preflight=false`.

    Raises:
        UserError: Training cannot work, or a file is damaged or missing.
    """
    if options.preflight == "false":
        task_of_config(config).check_classes(options, config, names)
        return None
    start = time.perf_counter()
    findings, num_records = task_of_config(config).findings(options, config, names)
    if num_records:
        from_scratch = not (options.ckpt or options.backbone_ckpt)
        findings += recipe_findings(
            config, plan, schedule, num_records=num_records, from_scratch=from_scratch
        )
    findings += of_teacher
    seconds = time.perf_counter() - start
    log.info(
        f"Preflight ({seconds:.1f} s; `preflight=false` skips it, `preflight=only` stops after it):"
    )
    log.info(format_findings(findings, _table_width()))
    log.info(_summary(findings))
    raise_on_errors(findings)
    return findings


def _table_width() -> int:
    columns = shutil.get_terminal_size((120, 40)).columns
    return min(max(columns, _WIDTHS[0]), _WIDTHS[1])


def _summary(findings: list[Finding]) -> str:
    errors = sum(finding.level == ERROR for finding in findings)
    warnings = sum(finding.level == WARNING for finding in findings)
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}."
