"""Writes a detector in one of the portable formats."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs import DetectionConfig
from efficientvision.export.artifacts import Format
from efficientvision.export.metadata import DetectorMetadata
from efficientvision.export.portable import max_candidates, portable_function
from efficientvision.files import AnyPath


def write_portable(
    model: Any,
    config: DetectionConfig,
    metadata: DetectorMetadata,
    form: Format,
    path: AnyPath,
    *,
    nms: str | None = None,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes a file.

    Args:
        model: a Keras detector.
        config: its hyper-parameters; `nms_configs` decides what is suppressed.
        metadata: of the detector, as a SavedModel of it would have; the facts of this file are
            added.
        form: the format.
        path: where; its folder is made if it is missing.
        nms: "offset" or "none"; None: as the format likes.
        calibration: int8: images as the network takes them, float32 [1, h, w, 3].
    """
    kind = nms or form.nms
    anchors = {} if kind == "offset" else config.anchor_options
    facts = dataclasses.replace(
        metadata,
        nms={
            **metadata.nms,
            "method": "hard",
            "kind": kind,
            "per_class": True,
            "max_candidates": max_candidates(config),
        },
        columns=("ymin", "xmin", "ymax", "xmax", "score", "class"),
        precision=form.precision,
        preprocessing={"mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist()},
        anchors=anchors,
    )
    function = portable_function(model, config, nms=kind, batch_size=metadata.batch_size or 1)
    files.make_folder(files.parent(path))
    module = importlib.import_module(f"efficientvision.export.{form.module}")
    module.write(function, path, facts.to_json(), precision=form.precision, calibration=calibration)
