"""Writes a model in one of the portable formats."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs import DetectorConfig, SsdConfig, TrainingConfig
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import IN_INTEGERS, Format
from efficientvision.exports.contract import contract_of
from efficientvision.exports.metadata import (
    DetectorMetadata,
    ModelMetadata,
    SegmenterMetadata,
)
from efficientvision.exports.portable import max_candidates, portable_function
from efficientvision.exports.portable_classifier import portable_classifier
from efficientvision.exports.portable_segmenter import portable_segmenter
from efficientvision.files import AnyPath
from efficientvision.layers.integers import for_integers


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
    batch_size = metadata.batch_size or 1
    if nms is not None and not isinstance(metadata, DetectorMetadata):
        raise UserError(
            f"`nms={nms}` applies to detectors only; {metadata.model_name} is {metadata.kind}"
        )
    if form.precision == "mixed" and "dicenet" in f"{config.name} {_backbone(config)}":
        raise UserError(
            f"{form.name} is not available for DiCENet, because LiteRT's interpreter aborts on its "
            "file: use litert_fp16, or litert_int8 if that is accurate enough"
        )
    facts = metadata
    with for_integers(form.precision in IN_INTEGERS):
        if isinstance(metadata, DetectorMetadata):
            kind = nms or form.nms
            function = portable_function(model, config, nms=kind, batch_size=batch_size)
            facts = _with_suppression(metadata, config, kind)
        elif isinstance(metadata, SegmenterMetadata):
            result = metadata.result
            function = portable_segmenter(model, config, result=result, batch_size=batch_size)
        else:
            function = portable_classifier(model, config, batch_size=batch_size)
    contract = contract_of(facts, config, function)
    text = dataclasses.replace(facts, precision=form.precision, contract=contract).to_json()
    files.make_folder(files.parent(path))
    module = importlib.import_module(f"efficientvision.exports.{form.module}")
    module.write(function, path, text, precision=form.precision, calibration=calibration)
    if form.json_beside:
        files.write_text(f"{files.as_text(path)}.json", text)


def _backbone(config: TrainingConfig) -> str:
    return getattr(config, "backbone_name", None) or ""


def _with_suppression(
    metadata: DetectorMetadata, config: DetectorConfig, kind: str
) -> DetectorMetadata:
    """The metadata of a detector's file with this kind of NMS inside."""
    if isinstance(config, SsdConfig):
        preprocessing = {}
    else:
        preprocessing = {"mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist()}
    return dataclasses.replace(
        metadata,
        nms={
            **metadata.nms,
            "method": "hard",
            "kind": kind,
            "per_class": True,
            "max_candidates": max_candidates(config),
        },
        columns=("ymin", "xmin", "ymax", "xmax", "score", "class"),
        preprocessing=preprocessing,
        anchors={} if kind == "offset" else config.anchor_options,
    )
