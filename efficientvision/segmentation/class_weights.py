"""Published weights of the classes in the loss."""

from __future__ import annotations

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
