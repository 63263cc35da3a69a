"""Preflight checks of a recipe against the size of the data."""

from __future__ import annotations

from efficientvision.configs import TrainingConfig
from efficientvision.preflight.findings import OK, WARNING, Finding, counted
from efficientvision.tasks.choice import task_of_config
from efficientvision.training.averaging import ramp_up
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.schedules import REFERENCE_BATCH_SIZE, Schedule

_MANY_PASSES = 20
_SHORT_RUN = 2000  # Steps.
# Twice the published rate, at batch 64; and a rate at which Adam diverges on these networks.
_HIGH_SGD_RATE, _HIGH_ADAM_RATE = 0.16, 5e-3
_MEMORIES_IN_RUN = 10


def recipe_findings(
    config: TrainingConfig,
    plan: TrainingPlan,
    schedule: Schedule,
    *,
    num_records: int,
    from_scratch: bool,
) -> list[Finding]:
    """Checks epoch, batch, learning rate, weight averages and batch norm for the run's length.

    Args:
        config: Hyper-parameters.
        plan: Length of the run.
        schedule: Learning rate by step.
        num_records: Number of training records, possibly estimated.
        from_scratch: Whether the run starts from random weights.
    """
    return [
        _epoch_finding(plan, num_records),
        _rate_finding(config, plan, schedule, from_scratch),
        *_decay_findings(config, plan, schedule),
        *_average_findings(config, plan),
        *_transfer_findings(config, plan, from_scratch),
        *_batch_norm_findings(config, plan),
    ]


def _epoch_finding(plan: TrainingPlan, num_records: int) -> Finding:
    passes = plan.examples_per_epoch / num_records
    over = "one pass" if passes == 1 else f"{passes:.3g} passes"
    found = (
        f"{counted(plan.total_steps, 'step')} of {counted(plan.batch_size, 'image')} in "
        f"{counted(plan.num_epochs, 'epoch')}; one epoch is "
        f"{counted(plan.examples_per_epoch, 'image')}, {over} over the records"
    )
    advice = f"set `num_examples_per_epoch={num_records}`, the number of records"
    if plan.batch_size > num_records:
        found += f", fewer than a batch ({num_records:,})"
        return Finding(WARNING, "length", found, f"set `train_batch_size={num_records}` or less")
    if passes < 0.9:
        return Finding(WARNING, "length", found, advice)
    if passes > _MANY_PASSES:
        advice += ": evaluation runs only once per epoch"
        return Finding(WARNING, "length", found, advice)
    return Finding(OK, "length", found)


def _rate_finding(
    config: TrainingConfig, plan: TrainingPlan, schedule: Schedule, from_scratch: bool
) -> Finding:
    subject = "learning rate"
    found = f"{config.optimizer}, at most {schedule.peak:.3g}"
    if config.optimizer == "sgd":
        at_64 = schedule.peak * REFERENCE_BATCH_SIZE / plan.batch_size
        found += f" (equivalent to {at_64:.3g} at batch {REFERENCE_BATCH_SIZE})"
        if at_64 > _HIGH_SGD_RATE:
            advice = (
                "0.08 is the published rate: keep the default learning_rate and "
                "scale_learning_rate=true"
            )
            if usual := task_of_config(config).usual_rate:
                rate, batch = usual
                advice = (
                    f"{rate:g} is EdgeNets' rate for batches of {batch}: set "
                    f"learning_rate={rate / batch * plan.batch_size:.2g}"
                )
            return Finding(WARNING, subject, found, advice)
    elif schedule.peak > _HIGH_ADAM_RATE:
        advice = f"for {config.optimizer} try learning_rate=2e-3,scale_learning_rate=false"
        return Finding(WARNING, subject, found, advice)
    if schedule.warmup_steps > plan.total_steps / 3:
        found += f"; warm-up takes {schedule.warmup_steps:,} of {plan.total_steps:,} steps"
        fitting = plan.num_epochs / 20
        return Finding(WARNING, subject, found, f"set lr_warmup_epoch={fitting:.2g}")
    if config.optimizer == "sgd" and from_scratch and plan.total_steps < _SHORT_RUN:
        found += f"; {plan.total_steps:,} steps are few for sgd from random weights"
        advice = (
            "optimizer=adam,learning_rate=2e-3,scale_learning_rate=false learns small data sets "
            "faster; or start from `ckpt`"
        )
        return Finding(WARNING, subject, found, advice)
    return Finding(OK, subject, found)


def _decay_findings(
    config: TrainingConfig, plan: TrainingPlan, schedule: Schedule
) -> list[Finding]:
    """Warns if the run ends before the recipe lowers the rate."""
    last = float(schedule(plan.total_steps - 1))
    fitting = {
        "stepwise": (
            config.first_lr_drop_epoch,
            f"set first_lr_drop_epoch={plan.num_epochs * 2 / 3:.3g},"
            f"second_lr_drop_epoch={plan.num_epochs * 5 / 6:.3g}",
        ),
        "hybrid": (config.clr_max, f"set clr_max={max(1, plan.num_epochs // 2)}"),
    }
    epoch, advice = fitting.get(config.lr_decay_method, (0, ""))
    if epoch < plan.num_epochs:
        return []
    found = (
        f"{config.lr_decay_method} lowers the rate from epoch {epoch:g}, but the run has only "
        f"{plan.num_epochs}: the rate is still {last:.3g} at the last step"
    )
    return [Finding(WARNING, "decay", found, advice)]


def _average_findings(config: TrainingConfig, plan: TrainingPlan) -> list[Finding]:
    """Reports how many steps the weight averages, used in evaluation, cover at the end."""
    if not config.moving_average_decay:
        return []
    memory = 1.0 / (1.0 - min(config.moving_average_decay, ramp_up(plan.total_steps)))
    found = (
        f"decay {config.moving_average_decay:g}, lower at first: at the end, a mean of the last "
        f"{memory:,.0f} of {plan.total_steps:,} steps"
    )
    return [Finding(OK, "weight averages", found)]


def _transfer_findings(
    config: TrainingConfig, plan: TrainingPlan, from_scratch: bool
) -> list[Finding]:
    """Reports what is frozen until when, and layer-wise rates; warns of what has no effect."""
    rows: list[Finding] = []
    frozen, until = "+".join(config.freeze), config.unfreeze_epoch
    if frozen and until is None:
        rows.append(Finding(OK, "frozen", f"{frozen}, in the whole run"))
    elif frozen and until is not None and until >= plan.num_epochs:
        found = (
            f"{frozen}, in the whole run: unfreeze_epoch={until:g} of "
            f"{counted(plan.num_epochs, 'epoch')}"
        )
        advice = f"set unfreeze_epoch={plan.num_epochs / 4:.2g}, or remove it"
        rows.append(Finding(WARNING, "frozen", found, advice))
    elif frozen:
        rows.append(Finding(OK, "frozen", f"{frozen}, until epoch {until:g} of {plan.num_epochs}"))
    if config.layer_decay == 1.0:
        return rows
    found = f"rates fall by {config.layer_decay:g} from each stage of the backbone to the one below"
    if from_scratch:
        advice = "random weights need the full rate: remove layer_decay, or set `start_from`"
        return [*rows, Finding(WARNING, "layer decay", found, advice)]
    if "backbone" in config.freeze and config.unfreeze_epoch is None:
        advice = "the backbone is frozen: remove layer_decay, or set unfreeze_epoch"
        return [*rows, Finding(WARNING, "layer decay", found, advice)]
    return [*rows, Finding(OK, "layer decay", found)]


def _batch_norm_findings(config: TrainingConfig, plan: TrainingPlan) -> list[Finding]:
    """Checks how far the moving statistics, used in evaluation, lag behind the weights."""
    if not task_of_config(config).trains_batch_norm(config):
        return []
    memory = 1.0 / (1.0 - config.bn_momentum)
    seen = min(memory, plan.total_steps)
    found = f"statistics of the last {seen:,.0f} of {plan.total_steps:,} steps"
    if memory * _MEMORIES_IN_RUN <= plan.total_steps:
        return [Finding(OK, "batch norm", found)]
    advice = "set bn_momentum=0.9: lagging statistics harm evaluation, not training"
    if config.bn_momentum <= 0.9:
        advice = "train for more steps"
    return [Finding(WARNING, "batch norm", found, advice)]
