"""What a segmentation checkpoint settles of the network that it is loaded into."""

from __future__ import annotations

import re

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.weights.identify import Identified

# Published segmentation networks say in their file's name what size they are for.
_SIZE_IN_NAME = re.compile(r"_(\d+x\d+)\.pth$")


def apply_published_size(config: SegmentationConfig | SsdConfig, path: AnyPath) -> list[str]:
    """Takes the image size of a file such as `espnetv2_s_2.0_city_1024x512.pth` from its name.

    Returns:
        A line that says so; none where the user gave a size, or the name has none.
    """
    size = _SIZE_IN_NAME.search(files.as_text(path))
    if size is None or config.is_set("image_size"):
        return []
    config.override({"image_size": size[1]})
    return [f"image_size={size[1]} (from the name of the file)"]


def apply_decoder(
    config: SegmentationConfig, found: Identified, *, keep_classes: bool = False
) -> list[str]:
    """Sets what a checkpoint tells of the network and the user did not say.

    Args:
        config: Changed in place.
        found: What `identify` found in the checkpoint; of another task it changes nothing.
        keep_classes: The number of classes may differ (fine-tuning). The width of the pyramid
            poolings, which follows from it, is the checkpoint's all the same.

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
