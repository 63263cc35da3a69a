"""Writes a model in one of the portable formats."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import IN_INTEGERS, Format
from efficientvision.exports.contract import contract_of
from efficientvision.files import AnyPath
from efficientvision.layers.integers import for_integers
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.metadata import ModelMetadata


def write_portable(
    model: Any,
    config: TrainingConfig,
    metadata: ModelMetadata,
    form: Format,
    path: AnyPath,
    *,
    nms: str | None = None,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes an export, and for apps its metadata beside it as `<path>.json`.

    Args:
        model: a Keras detector, classifier or segmenter.
        config: its hyper-parameters; a detector's `nms_configs` sets NMS and thresholds.
        metadata: metadata of the model as for a SavedModel; facts of this file are added.
        form: the format.
        path: output path; missing folders are created.
        nms: for a detector "offset" or "none"; None: the format's default.
        calibration: for int8 and mixed: images in the network's input format, float32
            [1, h, w, 3].

    Raises:
        UserError: `nms` is unknown or does not apply to the model, or the format does not support
            its backbone.
    """
    if nms is not None and not metadata.takes_nms:
        raise UserError(
            f"`nms={nms}` applies to detectors only; {metadata.model_name} is {metadata.kind}"
        )
    if form.precision == "mixed" and "dicenet" in f"{config.name} {_backbone(config)}":
        raise UserError(
            f"{form.name} is not available for DiCENet, because LiteRT's interpreter aborts on its "
            "file: use litert_fp16, or litert_int8 if that is accurate enough"
        )
    with for_integers(form.precision in IN_INTEGERS):
        function, facts = task_of_config(config).portable(model, config, metadata, nms or form.nms)
    contract = contract_of(facts, config, function)
    text = dataclasses.replace(facts, precision=form.precision, contract=contract).to_json()
    files.make_folder(files.parent(path))
    module = importlib.import_module(f"efficientvision.exports.{form.module}")
    module.write(function, path, text, precision=form.precision, calibration=calibration)
    if form.json_beside:
        files.write_text(f"{files.as_text(path)}.json", text)


def _backbone(config: TrainingConfig) -> str:
    return getattr(config, "backbone_name", None) or ""
