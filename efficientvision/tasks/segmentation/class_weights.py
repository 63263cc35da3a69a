"""Class weights of the loss: Cityscapes', computed from the data, or given."""

from __future__ import annotations

import logging

from efficientvision.data.class_pixels import balanced_weights, count_class_pixels
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.config import SegmentationConfig

log = logging.getLogger(__name__)


# EdgeNets' weights for Cityscapes' trainIds, including a background that no pixel has; equal to
# `data.class_pixels.balanced_weights` of the training masks.
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
    """Returns the class weights of the loss; logs them if computed from the data.

    Args:
        config: Hyper-parameters, including `class_weights`.
        pattern: Pattern of the training records.

    Raises:
        UserError: Cityscapes' weights are requested, but the number of classes differs.
    """
    wanted, count = config.class_weights, config.num_classes
    if wanted == "city":
        if count not in (len(CITYSCAPES_WEIGHTS) - 1, len(CITYSCAPES_WEIGHTS)):
            raise UserError(
                f"class_weights=city is for Cityscapes' 19 classes (or 20 with a background), but "
                f"num_classes={count}: set class_weights=data to compute them from the records."
            )
        return CITYSCAPES_WEIGHTS[:count]
    if wanted == "data":
        weights = balanced_weights(count_class_pixels(pattern), count)
        log.info(f"Class weights: {', '.join(f'{weight:.2f}' for weight in weights)}.")
        return weights
    return wanted
