"""Loads checkpoints of every family into our models."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from efficientvision.errors import UserError
from efficientvision.weights import edgenet_names
from efficientvision.weights import names as naming
from efficientvision.weights.checkpoint_reader import CheckpointReader, open_checkpoint
from efficientvision.weights.class_head import (
    BOX_BIAS,
    CLASS_COLUMNS,
    SSD_BOX_BIAS,
    ClassMatch,
    HeadLayout,
    carry_columns,
    shared_anchors,
)
from efficientvision.weights.identify import differences, identify
from efficientvision.weights.report import LoadReport

log = logging.getLogger(__name__)

# Parts whose last axis has one channel for each class.
_CLASS_ONCE = {naming.CLASSIFIER_HEAD, edgenet_names.DECODER, edgenet_names.AUXILIARY}

# Smallest share of the backbone that must match.
_MOST = 0.9


def load_weights(
    model: Any,
    path: str | os.PathLike | CheckpointReader,
    *,
    use_ema: bool = True,
    min_backbone_match: float = _MOST,
    skip_mismatch: bool = False,
    allow_class_head_mismatch: bool = True,
    classes: ClassMatch | None = None,
    exclude: str | Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
    scope: str | None = None,
    verbose: bool = True,
) -> LoadReport:
    """Loads a checkpoint into a model.

    A part that is absent from the checkpoint (such as the heads, in a checkpoint of a backbone)
    keeps its values. Everything is read before anything is assigned, so a damaged file changes
    nothing.

    Args:
        model: Keras model whose variable paths are the published names.
        path: Any path that `open_checkpoint` accepts, or an open reader.
        use_ema: Prefer moving averages where the checkpoint has them.
        min_backbone_match: Share of the model's backbone variables that must be loaded; 0 accepts
            any.
        skip_mismatch: Load the variables that fit and leave the others unchanged.
        allow_class_head_mismatch: Accept a class head of another shape (fine-tuning on a
            different number of classes); it keeps its values.
        classes: Classes that the model and the checkpoint share: only these take their weights
            from the checkpoint's class head. None loads the whole class head if its shape fits.
        exclude: Variables to leave unchanged: a regular expression searched in the published
            names, or a list of parts (`"class_net"`, ...).
        parts: Load only these parts, such as `["backbone"]`; None for all.
        scope: Outer scope that the variables were saved under (`ckpt_var_scope`).
        verbose: Log the report.

    Returns:
        A report of loaded, skipped, missing and unused variables.

    Raises:
        UserError: The checkpoint is missing, is damaged, or holds another network.
    """
    variables = naming.published_variables(model)
    reader = path
    if not isinstance(reader, CheckpointReader):
        reader = open_checkpoint(path, scope=scope, backbone=naming.backbone_in(variables))
    reader = reader.renamed(edgenet_names.fitting_names(reader.shapes, variables).get)
    report = _compare(variables, reader, exclude, parts, _padding_notes(model, reader))
    layout = _class_layout(variables, reader) if classes else None
    columns = []
    if layout is not None:
        columns = _class_columns(report, layout.variables, allow_class_head_mismatch)
    if columns:
        report.class_match = classes
    if not skip_mismatch:
        _raise_if_other_network(report, reader, variables, model.name, allow_class_head_mismatch)
    _raise_if_too_little(report, reader, variables, model.name, min_backbone_match)

    values = reader.read_many(report.loaded, ema=use_ema)
    if use_ema:
        report.num_averaged = sum(name in reader.ema_keys for name in report.loaded)
    _check_finite(report, values)
    for name, value in values.items():
        value = np.asarray(value, dtype=np.float32)
        if name in columns:
            value = carry_columns(np.asarray(variables[name]), value, classes, layout)
        variables[name].assign(value)
    if verbose:
        log.info(report)
    return report


def _check_finite(report: LoadReport, values: dict[str, np.ndarray]) -> None:
    """Adds a note about variables with NaN or infinite values.

    Raises:
        UserError: Every variable has some.
    """
    spoilt = [name for name, value in values.items() if not np.isfinite(value).all()]
    if spoilt and len(spoilt) == len(values):
        raise UserError(
            f"The checkpoint {report.path} holds values that are not finite (NaN or infinity) in "
            "every variable: training diverged before it was saved. Use an earlier checkpoint."
        )
    if spoilt:
        report.notes += (
            f"{len(spoilt)} variables hold values that are not finite (NaN or infinity), for "
            f"example {spoilt[0]}",
        )


def _padding_notes(model: Any, reader: CheckpointReader) -> list[str]:
    """A note if an EfficientNet pads otherwise than the network of another package's file."""
    theirs = reader.settings.get("padding", "same")
    ours = {
        layer.padding
        for layer in getattr(model, "layers", [model])
        if hasattr(layer, "architecture")
    }
    if not reader.settings or ours <= {theirs}:
        return []
    return [
        f"the weights are of a network with padding={theirs}, this one has "
        f"padding={', '.join(sorted(ours))}: set `padding` to {theirs} for the same results"
    ]


def _compare(
    variables: dict[str, Any],
    reader: CheckpointReader,
    exclude: str | Sequence[str] | None,
    parts: Sequence[str] | None,
    padding_notes: Sequence[str] = (),
) -> LoadReport:
    """Compares names and shapes of the model and the checkpoint; reads no values."""
    theirs = reader.names()
    report = LoadReport(
        path=reader.path,
        kind=reader.kind,
        auxiliary=len(reader.auxiliary),
        notes=(*reader.notes, *padding_notes),
        preprocessing=reader.preprocessing,
    )
    for name, variable in variables.items():
        ours = tuple(variable.shape)
        if _is_excluded(name, exclude, parts):
            report.excluded.append(name)
        elif name not in theirs:
            report.missing.append(name)
        elif theirs[name] != ours:
            report.skipped[name] = (ours, theirs[name])
        else:
            report.loaded.append(name)
    report.unused = [
        name for name in theirs if name not in variables and not _is_excluded(name, exclude, parts)
    ]
    return report


def _shapes(variables: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(variable.shape) for name, variable in variables.items()}


def _class_layout(variables: dict[str, Any], reader: CheckpointReader) -> HeadLayout | None:
    """Layout of the model's class head; None if the checkpoint's number of anchors differs."""
    last = tuple(name for name in variables if naming.is_class_head(name))
    parts = {naming.part_of(name) for name in last}
    if last and parts <= _CLASS_ONCE:
        return HeadLayout(last, 1)
    is_ssd = parts == {edgenet_names.SSD_CLASS_HEADS}
    bias = SSD_BOX_BIAS if is_ssd else BOX_BIAS
    anchors = shared_anchors(_shapes(variables), reader.names(), bias)
    if anchors is None:
        return None
    return HeadLayout(last if is_ssd else CLASS_COLUMNS, anchors, has_background=is_ssd)


def _class_columns(report: LoadReport, head: Sequence[str], allow_mismatch: bool) -> list[str]:
    """The head's variables to load; with `allow_mismatch`, also those of another shape."""
    for name in head:
        if name in report.skipped and allow_mismatch:
            del report.skipped[name]
            report.loaded.append(name)
    return [name for name in head if name in report.loaded]


def _is_excluded(
    name: str, exclude: str | Sequence[str] | None, parts: Sequence[str] | None
) -> bool:
    part = naming.part_of(name)
    if parts is not None and part not in parts:
        return True
    if isinstance(exclude, str):
        return re.search(exclude, name) is not None
    return exclude is not None and part in exclude


def _raise_if_other_network(
    report: LoadReport,
    reader: CheckpointReader,
    variables: dict[str, Any],
    model_name: str,
    allow_class_head_mismatch: bool,
) -> None:
    """Raises UserError if anything but the class head shows that the networks differ."""
    reshaped = {
        name: shapes
        for name, shapes in report.skipped.items()
        if not (allow_class_head_mismatch and naming.is_class_head(name))
    }
    their_parts = {naming.part_of(name) for name in reader.names()}
    our_parts = {naming.part_of(name) for name in variables}
    # The backbone has its own rule: `min_backbone_match`.
    incomplete = [
        name for name in report.missing if naming.part_of(name) in their_parts - {naming.BACKBONE}
    ]
    left_over = [
        name for name in report.unused if naming.part_of(name) in our_parts - {naming.BACKBONE}
    ]
    if reshaped:
        name, (ours, theirs) = next(iter(reshaped.items()))
        problem = (
            f"{len(reshaped)} variables have another shape, for example {name}: "
            f"{list(theirs)} in the checkpoint, {list(ours)} in the model"
        )
    elif incomplete:
        problem = f"it lacks {len(incomplete)} variables of the model, for example {incomplete[0]}"
    elif left_over:
        problem = f"the model lacks {len(left_over)} of its variables, for example {left_over[0]}"
    else:
        return
    raise UserError(
        f"The checkpoint {report.path} does not fit {model_name}: {problem}."
        + _resemblance(reader, variables, model_name, report)
    )


def _raise_if_too_little(
    report: LoadReport,
    reader: CheckpointReader,
    variables: dict[str, Any],
    model_name: str,
    min_backbone_match: float,
) -> None:
    """Raises UserError if too little of the backbone, or nothing at all, would be loaded."""
    if report.backbone_match < min_backbone_match:
        raise UserError(
            f"The checkpoint {report.path} does not fit {model_name}: only "
            f"{report.backbone_match:.0%} of the backbone's variables match, expected at least "
            f"{min_backbone_match:.0%}." + _resemblance(reader, variables, model_name, report)
        )
    if not report.loaded:
        raise UserError(
            f"No variable of the checkpoint {report.path} belongs to {model_name}."
            + _resemblance(reader, variables, model_name, report)
        )


def _resemblance(
    reader: CheckpointReader, variables: dict[str, Any], model_name: str, report: LoadReport
) -> str:
    """Hint for an error message: which network the checkpoint seems to hold, how it differs."""
    theirs = identify(reader)
    ours = identify(_shapes(variables))
    looks_like = theirs.named(model_name)
    text = ""
    if looks_like and (looks_like != model_name or theirs.task != ours.task):
        text += f" This looks like {theirs.described(looks_like)}."
    differing = differences(theirs, ours)
    if differing:
        text += f" Differences: {'; '.join(differing)}."
    if text:
        return text
    if report.backbone_match >= _MOST and report.loaded:
        return " In Python, load_weights(..., skip_mismatch=True) loads what fits."
    if report.unused and report.missing:
        return (
            f" The checkpoint has names like {report.unused[0]!r}, the model's like "
            f"{report.missing[0]!r}: rename them, or save the network's state dict alone."
        )
    return ""
