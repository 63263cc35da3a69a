"""Configures a segmentation network or an SSD detector to fit a checkpoint."""

from __future__ import annotations

import re

from efficientvision import files
from efficientvision.configs import SegmentationConfig, SsdConfig
from efficientvision.files import AnyPath
from efficientvision.weights.identify import Identified

# Published segmentation files have the image size in their names.
_SIZE_IN_NAME = re.compile(r"_(\d+x\d+)\.pth$")


def apply_published_size(config: SegmentationConfig | SsdConfig, path: AnyPath) -> list[str]:
    """Sets the image size from a file name such as `espnetv2_s_2.0_city_1024x512.pth`.

    Returns:
        A line that reports the change; none if the user set a size or the name has none.
    """
    size = _SIZE_IN_NAME.search(files.as_text(path))
    if size is None or config.is_set("image_size"):
        return []
    config.override({"image_size": size[1]})
    return [f"image_size={size[1]} (from the name of the file)"]


def apply_decoder(
    config: SegmentationConfig, found: Identified, *, keep_classes: bool = False
) -> list[str]:
    """Sets hyper-parameters from a checkpoint, unless the user set them.

    Args:
        config: Changed in place.
        found: Result of `identify`; changes nothing if it is of another task.
        keep_classes: Keep the configured number of classes (fine-tuning). The width of the
            pyramid poolings, which by default depends on it, still comes from the checkpoint.

    Returns:
        A line for each change.
    """
    if config.is_detector:
        told = {"fpn_name": found.fpn_name, "detector_classes": found.num_classes}
        classes = found.seg_num_classes
    elif found.task == "segmentation":
        told = {name: found.told(name) for name in ("decoder_width", "pyramid_width")}
        classes = found.num_classes
    else:
        return []
    if not keep_classes:
        told["num_classes"] = classes
    lines = []
    for name, value in told.items():
        if value is not None and not config.is_set(name) and getattr(config, name) != value:
            config.override({name: value})
            lines.append(f"{name}={value} (read from the checkpoint)")
    return lines
