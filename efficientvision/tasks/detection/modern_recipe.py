"""The recipe `modern` of EfficientDet: what detectors since 2020 train with.

The network at inference is the published one. Every line is a hyper-parameter of its own;
`benchmarks/recipe_ablation.py` measures what each contributes.
"""

from __future__ import annotations

from efficientvision.tasks.default_values import Choice
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig

MODERN = (
    Choice(
        "assignment", "task_aligned", "anchors by the fit of their predictions (arXiv:2108.07755)"
    ),
    Choice("class_loss", "quality_focal", "scores say how well a box fits (arXiv:2006.04388)"),
    Choice("gamma", 2.0, "of the quality focal loss, as in its paper"),
    Choice("box_loss_weight", 0.0, "boxes learn by their overlap alone"),
    Choice("iou_loss_type", "ciou", "overlap, centre and shape of a box (arXiv:1911.08287)"),
    Choice("iou_loss_weight", 8.0, "twice the class loss, as in arXiv:2108.07755"),
    Choice("mosaic_prob", 0.5, "four photos in one example (arXiv:2004.10934)"),
    Choice("mix_end", 0.7, "the last part of the training is on whole photos (arXiv:2107.08430)"),
    Choice("jitter_min", 0.5, "objects of half to one and a half times their size"),
    Choice("jitter_max", 1.5, "as jitter_min"),
    Choice("hsv_jitter", 0.5, "colour jitter (arXiv:2107.08430)"),
)
_JITTER = {"jitter_min", "jitter_max"}
_BOX_LOSSES = {"box_loss_weight", "iou_loss_weight"}


def modern_choices(config: EfficientDetConfig) -> list[Choice]:
    """Returns `MODERN` without what makes no sense beside the values that the user set.

    Args:
        config: Hyper-parameters so far.
    """
    left = set()
    if any(map(config.is_decided, _JITTER)):
        left |= _JITTER
    if config.is_decided("iou_loss_type") and config.iou_loss_type is None:
        left |= _BOX_LOSSES
    return [choice for choice in MODERN if choice.name not in left]
