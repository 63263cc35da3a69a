"""What a run can do when memory runs out: the remedies in order, with their numbers for it."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.training.checkpoints import list_checkpoints, step_of
from efficientvision.training.distribution import local_replicas
from efficientvision.training.memory_errors import OutOfMemory, memory_errors
from efficientvision.training.schedules import adjusted_learning_rate

_SIDE_STEP = 64  # Pixels.
_LEAST_SIDE = 64


@contextlib.contextmanager
def answered(
    options: RunOptions,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    during: str,
) -> Iterator[None]:
    """Answers an out-of-memory error with what to change, and what that does to this very run.

    Args:
        options: Of the run.
        config: Hyper-parameters.
        strategy: The run's strategy.
        during: "training" or "evaluation"; an evaluation inside a training is known by itself.

    Raises:
        UserError: Memory ran out; the remedies are its `lines`.
    """
    try:
        with memory_errors(during):
            yield
    except OutOfMemory as error:
        evaluates = error.during == "evaluation"
        remedies = (
            evaluation_remedies(options, config, local_replicas(strategy))
            if evaluates
            else training_remedies(options, config, strategy.num_replicas_in_sync)
        )
        sentence = what_happened(options, config, strategy, error)
        if remedies:
            sentence += " Remedies, in this order, alone or together:"
        else:
            sentence += " Nothing is left to make smaller but the network (`model_name`)."
        lines = [f"  {number}. {line}" for number, line in enumerate(remedies, start=1)]
        if remedies and not evaluates and (kept := list_checkpoints(options.model_dir)):
            lines.append(
                f"{options.model_dir} keeps what was trained: the same command with a remedy "
                f"goes on from step {step_of(kept[-1])}."
            )
        raise UserError(sentence, lines) from error


def what_happened(
    options: RunOptions,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    error: OutOfMemory,
) -> str:
    """One or two sentences: when, with which load, how much was wanted and used."""
    evaluates = error.during == "evaluation"
    flag = "eval_batch_size" if evaluates else "train_batch_size"
    replicas = local_replicas(strategy) if evaluates else strategy.num_replicas_in_sync
    images = -(-getattr(options, flag) // replicas)
    parts = 1 if evaluates else config.gradient_accumulation
    height, width = config.image_hw
    load = f"{images // parts} images" if images // parts > 1 else "1 image"
    load += f" of {width}x{height} in {_precision(config)} at a time"
    if replicas > 1:
        load += f" on each of {replicas} devices"
    wanted = "" if error.wanted is None else f" {_size(error.wanted)} more were wanted."
    return (
        f"Out of memory in {error.during}, with {load} (`{flag}={getattr(options, flag)}`)."
        f"{wanted}{_used(error.device)}"
    )


def training_remedies(options: RunOptions, config: TrainingConfig, replicas: int) -> list[str]:
    """What makes a training step need less, first what changes its results least.

    Args:
        options: Of the run.
        config: Hyper-parameters.
        replicas: Replicas that share the batch.
    """
    batch, parts = options.train_batch_size, config.gradient_accumulation
    each = batch // replicas
    remedies = _half_precision(config, "weights and losses stay float32")
    more = next((k for k in range(parts + 1, each + 1) if each % k == 0), None)
    if more is not None:
        remedies.append(
            f"gradient_accumulation={more} in `hparams`: the {each} images of a step in {more} "
            f"parts of {each // more}, activations {parts / more:.0%} of now; batch and learning "
            "rate stay."
        )
    if not getattr(config, "grad_checkpoint", True):
        remedies.append(
            "grad_checkpoint=true in `hparams`: most activations are computed again in the "
            "backward pass instead of being kept; the results stay, a step takes about a third "
            "longer."
        )
    at_once = each // parts
    if at_once > 1:
        smaller = at_once // 2 * parts * replicas
        share = (at_once // 2) / at_once
        remedies.append(
            f"`train_batch_size={smaller}`: {at_once // 2} of {at_once} images at a time, "
            f"activations {share:.0%} of now; {_rate_change(config, batch, smaller)}."
        )
    return remedies + _smaller_image(config, "activations")


def evaluation_remedies(options: RunOptions, config: TrainingConfig, replicas: int) -> list[str]:
    """What makes an evaluation need less; the metrics stay the same where that is possible.

    Args:
        options: Of the run.
        config: Hyper-parameters.
        replicas: Replicas of this machine.
    """
    remedies = []
    each = -(-options.eval_batch_size // replicas)
    if each > 1:
        remedies.append(
            f"`eval_batch_size={each // 2 * replicas}`: {each // 2} of {each} images at a time; "
            "the metrics stay."
        )
    if options.mode != "eval":
        remedies.append(
            "`mode=train`, and `mode=eval` in another process when it is over: an evaluation "
            f"alone keeps no {config.optimizer} slots and averages beside the weights; the metrics "
            "stay."
        )
    remedies += _half_precision(config, "the metrics change in the third digit")
    return remedies + _smaller_image(config, "activations")


def _half_precision(config: TrainingConfig, rest: str) -> list[str]:
    if config.mixed_precision:
        return []
    return [
        "mixed_precision=true in `hparams`: activations in bfloat16, 2 bytes a number instead of "
        f"4, 50% of now; {rest}."
    ]


def _rate_change(config: TrainingConfig, batch: int, smaller: int) -> str:
    def rate(size: int) -> float:
        return adjusted_learning_rate(config.learning_rate, size, scale=config.scale_learning_rate)

    if not config.scale_learning_rate:
        return (
            f"the learning rate stays {rate(batch):g} (scale_learning_rate=false), consider "
            f"{rate(batch) * smaller / batch:g}"
        )
    return f"the learning rate follows from {rate(batch):g} to {rate(smaller):g}"


def _smaller_image(config: TrainingConfig, what: str) -> list[str]:
    """Three quarters of each side, in steps of 64 pixels."""
    sides = config.image_hw
    height, width = (
        max(_LEAST_SIDE, (side * 3 // 4 + _SIDE_STEP // 2) // _SIDE_STEP * _SIDE_STEP)
        for side in sides
    )
    if height >= sides[0] or width >= sides[1]:
        return []
    size = f"{width}" if width == height else f"{width}x{height}"
    share = height * width / (sides[0] * sides[1])
    return [
        f"image_size={size} in `hparams`: {share:.0%} of the pixels and {what}; small objects "
        "get harder to find."
    ]


def _precision(config: TrainingConfig) -> str:
    return config.dtype_policy.removeprefix("mixed_")


def _used(device: str | None) -> str:
    """How much was in use at most, where it is known whose memory ran out."""
    if device is not None and device.startswith("GPU"):
        peak = tf.config.experimental.get_memory_info(device)["peak"]
        return f" On {device} up to {_size(peak)} were in use."
    if device is None and tf.config.list_physical_devices("GPU"):
        return ""
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f" This process had up to {_size(peak)} in use."


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
