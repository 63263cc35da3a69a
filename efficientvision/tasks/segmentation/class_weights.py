"""The weights of the classes in the loss: Cityscapes', the data's own, or given ones."""

from __future__ import annotations

import logging

from efficientvision.data.class_pixels import balanced_weights, count_class_pixels
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.config import SegmentationConfig

log = logging.getLogger(__name__)


# EdgeNets' for Cityscapes' trainIds, with the background that no pixel has. They are
# `data.class_pixels.balanced_weights` of its training masks.
CITYSCAPES_WEIGHTS = (
    2.8149201869965,
    6.9850029945374,
    3.7890393733978,
    9.9428062438965,
    9.7702074050903,
    9.5110931396484,
    10.311357498169,
    10.026463508606,
    4.6323022842407,
    9.5608062744141,
    7.8698215484619,
    9.5168733596802,
    10.373730659485,
    6.6616044044495,
    10.260489463806,
    10.287888526917,
    10.289801597595,
    10.405355453491,
    10.138095855713,
    0.0,
)


def class_weights(config: SegmentationConfig, pattern: str) -> tuple[float, ...] | None:
    """The weights of the classes in the loss; says those that are taken from the data.

    Args:
        config: Its `class_weights` says which.
        pattern: Of the training records.

    Raises:
        UserError: Those of Cityscapes are asked for, and there are not as many classes.
    """
    wanted, count = config.class_weights, config.num_classes
    if wanted == "city":
        if count not in (len(CITYSCAPES_WEIGHTS) - 1, len(CITYSCAPES_WEIGHTS)):
            raise UserError(
                f"class_weights=city are of Cityscapes' 19 classes (or 20, with a background), and "
                f"num_classes={count}: class_weights=data takes them from the records."
            )
        return CITYSCAPES_WEIGHTS[:count]
    if wanted == "data":
        weights = balanced_weights(count_class_pixels(pattern), count)
        log.info(f"Weights of the classes: {', '.join(f'{weight:.2f}' for weight in weights)}.")
        return weights
    return wanted
