"""Suggests remedies when a run is out of memory, with their effect on this run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.training.checkpoints import list_checkpoints, step_of
from efficientvision.training.device_memory import peak_bytes
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
    """Turns an out-of-memory error into remedies, with their effect on this run.

    Args:
        options: Options of the run.
        config: Hyper-parameters.
        strategy: The run's strategy.
        during: "training" or "evaluation"; evaluations during training are detected.

    Raises:
        UserError: Out of memory; its `lines` are the remedies.
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
            sentence += " Try these remedies, in this order, alone or combined:"
        else:
            sentence += " Only a smaller network (`model_name`) can help."
        lines = [f"  {number}. {line}" for number, line in enumerate(remedies, start=1)]
        if remedies and not evaluates and (kept := list_checkpoints(options.model_dir)):
            lines.append(
                f"Progress is saved in {options.model_dir}: the same command with a remedy "
                f"resumes from step {step_of(kept[-1])}."
            )
        raise UserError(sentence, lines) from error


def what_happened(
    options: RunOptions,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    error: OutOfMemory,
) -> str:
    """Describes in one or two sentences when it happened, the load, and the memory used."""
    evaluates = error.during == "evaluation"
    option = "eval_batch_size" if evaluates else "train_batch_size"
    replicas = local_replicas(strategy) if evaluates else strategy.num_replicas_in_sync
    images = -(-getattr(options, option) // replicas)
    parts = 1 if evaluates else config.gradient_accumulation
    height, width = config.image_hw if evaluates else config.largest_hw
    load = f"{images // parts} images" if images // parts > 1 else "1 image"
    load += f" of {width}x{height} in {_precision(config)} at a time"
    if replicas > 1:
        load += f" on each of {replicas} devices"
    wanted = "" if error.wanted is None else f" {_size(error.wanted)} more were requested."
    return (
        f"Out of memory in {error.during}, with {load} (`{option}={getattr(options, option)}`)."
        f"{wanted}{_used(error.device)}"
    )


def training_remedies(options: RunOptions, config: TrainingConfig, replicas: int) -> list[str]:
    """Lists ways to save memory in training, those with the least effect on results first.

    Args:
        options: Options of the run.
        config: Hyper-parameters.
        replicas: Number of replicas that share the batch.
    """
    batch, parts = options.train_batch_size, config.gradient_accumulation
    each = batch // replicas
    remedies = _half_precision(config, "weights and losses stay float32")
    more = next((k for k in range(parts + 1, each + 1) if each % k == 0), None)
    if more is not None:
        remedies.append(
            f"gradient_accumulation={more} in `hparams`: splits the {each} images of a step into "
            f"{more} micro-batches of {each // more}, activations shrink to {parts / more:.0%}; "
            "same batch size and learning rate."
        )
    if not getattr(config, "grad_checkpoint", True):
        remedies.append(
            "grad_checkpoint=true in `hparams`: recomputes most activations in the backward pass "
            "instead of keeping them; same results, but a step takes about a third longer."
        )
    at_once = each // parts
    if at_once > 1:
        smaller = at_once // 2 * parts * replicas
        share = (at_once // 2) / at_once
        remedies.append(
            f"`train_batch_size={smaller}`: {at_once // 2} of {at_once} images at a time, "
            f"activations shrink to {share:.0%}; {_rate_change(config, batch, smaller)}."
        )
    if config.largest_hw != config.image_hw:
        share = math.prod(config.image_hw) / math.prod(config.largest_hw)
        remedies.append(
            f"multi_scale=0 in `hparams`: {share:.0%} of the pixels and activations of its largest "
            "size."
        )
    return remedies + _smaller_image(config, "activations")


def evaluation_remedies(options: RunOptions, config: TrainingConfig, replicas: int) -> list[str]:
    """Lists ways to save memory in evaluation, those that do not change the metrics first.

    Args:
        options: Options of the run.
        config: Hyper-parameters.
        replicas: Number of replicas on this machine.
    """
    remedies = []
    each = -(-options.eval_batch_size // replicas)
    if each > 1:
        remedies.append(
            f"`eval_batch_size={each // 2 * replicas}`: {each // 2} of {each} images at a time; "
            "same metrics."
        )
    if options.mode != "eval":
        remedies.append(
            "`mode=train`, then `mode=eval` in a separate process: evaluation alone needs no "
            f"{config.optimizer} slots and weight averages besides the weights; same metrics."
        )
    remedies += _half_precision(config, "the metrics change in the third digit")
    return remedies + _smaller_image(config, "activations")


def _half_precision(config: TrainingConfig, rest: str) -> list[str]:
    if config.mixed_precision:
        return []
    return [
        "mixed_precision=true in `hparams`: activations in bfloat16 shrink to 50%, 2 bytes per "
        f"value instead of 4; {rest}."
    ]


def _rate_change(config: TrainingConfig, batch: int, smaller: int) -> str:
    def rate(size: int) -> float:
        return adjusted_learning_rate(config.learning_rate, size, scale=config.scale_learning_rate)

    if not config.scale_learning_rate:
        return (
            f"the learning rate stays {rate(batch):g} (scale_learning_rate=false); consider "
            f"{rate(batch) * smaller / batch:g}"
        )
    return f"the learning rate is scaled from {rate(batch):g} to {rate(smaller):g}"


def _smaller_image(config: TrainingConfig, what: str) -> list[str]:
    """Suggests three quarters of each side, in steps of 64 pixels."""
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
    """Reports peak memory use, of the device if it is known."""
    if device is not None and device.startswith("GPU"):
        peak = tf.config.experimental.get_memory_info(device)["peak"]
        return f" Peak use of {device}: {_size(peak)}."
    if device is None and tf.config.list_physical_devices("GPU"):
        return ""
    return f" Peak use of this process: {_size(peak_bytes())}."


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
