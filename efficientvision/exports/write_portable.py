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
    """Writes a file, and for apps its metadata beside it, `<path>.json`.

    Args:
        model: a Keras detector, classifier or segmenter.
        config: its hyper-parameters; a detector's `nms_configs` decides what is suppressed.
        metadata: of the model, as a SavedModel of it would have; the facts of this file are added.
        form: the format.
        path: where; its folder is made if it is missing.
        nms: of a detector "offset" or "none"; None: as the format likes.
        calibration: int8 and mixed: images as the network takes them, float32 [1, h, w, 3].

    Raises:
        UserError: a kind of suppression that there is not, or is not for this model; a format that
            is not for its backbone.
    """
    if nms is not None and not metadata.takes_nms:
        raise UserError(f"`nms={nms}` is for detectors; {metadata.model_name} is {metadata.kind}")
    if form.precision == "mixed" and "dicenet" in f"{config.name} {_backbone(config)}":
        raise UserError(
            f"{form.name} is not for DiCENet: LiteRT's interpreter aborts on its file; take "
            "litert_fp16, or litert_int8 if that is accurate enough"
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
