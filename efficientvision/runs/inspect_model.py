"""Describes a network, a checkpoint or an exported model."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.errors import UserError
from efficientvision.exports.flops import count_convolution_multiply_adds, multiply_adds_by_part
from efficientvision.exports.load_export import is_export, load_export
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.registry import list_models
from efficientvision.runs import inspection
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.hub import local_path
from efficientvision.weights.hub_address import is_hub_address

log = logging.getLogger(__name__)


def is_model(path: str) -> bool:
    """Whether a path is an export, a run or a checkpoint, or else the name of a network."""
    if is_hub_address(path):
        return True
    if is_export(path) or files.is_file(files.join(run_folder_of(path), CONFIG_FILE)):
        return True
    try:
        open_checkpoint(path)
    except UserError:
        return path in list_models() and not files.exists(path)
    return True


def inspect_model(path: str, *, model_name: str | None = None, hparams: str = "") -> None:
    """Logs parameters and multiply-adds by part, or the facts of an exported model.

    Args:
        path: Export, run or checkpoint; or the name of a network.
        model_name: Network of a checkpoint that does not identify it.
        hparams: Hyper-parameters, in any form that `get_config` accepts.

    Raises:
        UserError: The model cannot be loaded, or an option does not apply to an export.
    """
    path = local_path(path)
    if is_export(path):
        for name, value in (("model_name", model_name), ("hparams", hparams)):
            if value:
                raise UserError(f"`{name}` does not apply to {path}, which is an exported model.")
        _log_export(path)
        return
    if files.exists(path) or path not in list_models():
        settings = InspectSettings(ckpt_path=path, model_name=model_name, hparams=hparams)
    else:
        settings = InspectSettings(model_name=path, hparams=hparams)
    log_summary(inspection.load_for_export(settings))


def _log_export(path: str) -> None:
    metadata = load_export(path)[1]
    if metadata is None:
        log.info(f"{path} runs, but has no metadata of this library.")
        return
    height, width = metadata.image_hw
    batch = metadata.batch_size or "any number of"
    names = ", ".join(f"{number} {name}" for number, name in metadata.class_names.items())
    log.info(f"{path}: {metadata.model_name} ({metadata.task}), {metadata.precision}")
    log.info(f"input    {batch} photos, resized to {width}x{height} (WxH)")
    log.info(f"classes  {metadata.num_classes}: {names or 'no names'}")
    for kind in ("inputs", "outputs"):
        for tensor in metadata.contract.get(kind, ()):
            log.info(f"{kind[:-1]:<8} {tensor['name']} {tensor['shape']} {tensor['dtype']}")


def log_summary(loaded: LoadedModel) -> None:
    """Logs a table: parameters (trainable, all) and multiply-adds of one image."""
    model, config = loaded.model, loaded.config
    task = task_of_config(config)
    parts = task.parts
    trainable = _parameters(model.trainable_weights, parts)
    total = _parameters(model.weights, parts)
    madds = multiply_adds_by_part(model, config.image_hw, parts)
    height, width = config.image_hw
    log.info(f"{config.name}, input {width}x{height} (WxH), {task.summary(config)}")
    log.info(f"{'part':<20}{'trainable':>14}{'all weights':>14}{'multiply-adds':>18}")
    for part in total:
        if total[part] or madds[part]:
            shown = "backbone" if part == "other" and task.rest_is_backbone else part
            log.info(f"{shown:<20}{trainable[part]:>14,}{total[part]:>14,}{madds[part]:>18,}")
    sums = sum(trainable.values()), sum(total.values()), sum(madds.values())
    log.info(f"{'whole network':<20}{sums[0]:>14,}{sums[1]:>14,}{sums[2]:>18,}")
    log.info(f"{task.counted_in_summary} = {sums[0] / 1e6:.6f}M, {sums[2] / 1e9:.9f}B")
    if task.rest_is_backbone:
        alone = count_convolution_multiply_adds(model, config.image_hw)
        log.info(f"multiply-adds of the convolutions alone, as EdgeNets count: {alone / 1e6:.2f}M")


def _parameters(variables: list, parts: Mapping[str, str]) -> dict[str, int]:
    counts = dict.fromkeys([*parts.values(), "other"], 0)
    for variable in variables:
        size = 1
        for length in variable.shape:
            size *= length
        scopes = variable.path.split("/")[:2]
        part = next(
            (p for scope in scopes for start, p in parts.items() if scope.startswith(start)),
            "other",
        )
        counts[part] += size
    return counts
