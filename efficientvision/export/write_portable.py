"""Writes a model in one of the portable formats."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs import DetectionConfig, TrainingConfig
from efficientvision.errors import UserError
from efficientvision.export.artifacts import Format
from efficientvision.export.metadata import ClassifierMetadata, DetectorMetadata, ModelMetadata
from efficientvision.export.portable import max_candidates, portable_function
from efficientvision.export.portable_classifier import portable_classifier
from efficientvision.files import AnyPath


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
    """Writes a file.

    Args:
        model: a Keras detector or classifier.
        config: its hyper-parameters; a detector's `nms_configs` decides what is suppressed.
        metadata: of the model, as a SavedModel of it would have; the facts of this file are added.
        form: the format.
        path: where; its folder is made if it is missing.
        nms: of a detector "offset" or "none"; None: as the format likes.
        calibration: int8: images as the network takes them, float32 [1, h, w, 3].

    Raises:
        UserError: a kind of suppression that there is not, or is not for this model.
    """
    if isinstance(metadata, ClassifierMetadata):
        if nms is not None:
            raise UserError(f"--nms={nms} is for detectors; {metadata.model_name} is a classifier")
        function = portable_classifier(model, config, batch_size=metadata.batch_size or 1)
        facts = metadata
    else:
        kind = nms or form.nms
        function = portable_function(model, config, nms=kind, batch_size=metadata.batch_size or 1)
        facts = _with_suppression(metadata, config, kind)
    facts = dataclasses.replace(facts, precision=form.precision)
    files.make_folder(files.parent(path))
    module = importlib.import_module(f"efficientvision.export.{form.module}")
    module.write(function, path, facts.to_json(), precision=form.precision, calibration=calibration)


def _with_suppression(
    metadata: DetectorMetadata, config: DetectionConfig, kind: str
) -> DetectorMetadata:
    """The facts of a detector's file with that kind of suppression inside."""
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
        preprocessing={"mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist()},
        anchors={} if kind == "offset" else config.anchor_options,
    )
