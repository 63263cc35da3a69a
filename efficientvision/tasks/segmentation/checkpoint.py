"""Configures a segmentation network to fit a checkpoint."""

from __future__ import annotations

from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.weights.identify import Identified


def apply_decoder(
    config: SegmentationConfig, found: Identified, *, keep_classes: bool = False
) -> list[str]:
    """Sets hyper-parameters from a checkpoint unless the user has set them.

    Args:
        config: Changed in place.
        found: Result of `identify`; ignored if it belongs to a different task.
        keep_classes: Keep the configured number of classes (fine-tuning). The width of the
            pyramid poolings, which by default depends on it, still comes from the checkpoint.

    Returns:
        One line per change.
    """
    if config.is_detector:
        values = {"fpn_name": found.fpn_name, "detector_classes": found.num_classes}
        classes = found.seg_num_classes
    elif found.task == "segmentation":
        values = {name: found.told(name) for name in ("decoder_width", "pyramid_width")}
        classes = found.num_classes
    else:
        return []
    if not keep_classes:
        values["num_classes"] = classes
    lines = []
    for name, value in values.items():
        if value is not None and not config.is_set(name) and getattr(config, name) != value:
            config.override({name: value})
            lines.append(f"{name}={value} (read from the checkpoint)")
    return lines
