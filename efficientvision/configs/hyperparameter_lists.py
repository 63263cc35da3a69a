"""The status of every hyper-parameter of the published code bases.

Every name of google/automl's `hparams_config.py` and of the VFPN fork's is in exactly one of three
lists: implemented (a field of `EfficientDetConfig`, or an alias of one), obsolete, or unavailable.
"""

from __future__ import annotations

import dataclasses
from typing import Any

# Other names, mostly of earlier versions, for the same thing.
ALIASES = {
    "train_scale_min": "jitter_min",
    "train_scale_max": "jitter_max",
    "precision": "mixed_precision",
    "use_bfloat16": "mixed_precision",
    "label_id_mapping": "label_map",
}

# Accepted, with a one-line note on why each has no effect.
OBSOLETE = {
    "ckpt_var_scope": "the loader recognises the backbone's variables in any checkpoint",
    "drop_remainder": "training batches are always full and evaluation never drops an image",
    "img_summary_steps": "no pictures are written to TensorBoard; model_inspect.py draws them",
    "loss_scale": "float16 adapts its loss scale automatically, bfloat16 needs none",
    "map_freq": "train_and_eval evaluates after every epoch",
    "nms_configs.pyfunc": "non-maximum suppression always runs in the graph",
    "resnet_depth": "it applies to ResNet backbones, which are not available here",
    "sample_image": "no pictures are written to TensorBoard; model_inspect.py draws them",
    "save_freq": "`save_checkpoints_steps` sets how often checkpoints are written",
    "use_keras_model": "every model here is a Keras model",
    "use_native_resize_op": "both ways of upsampling a feature map give the same result",
    "use_tpu": "`strategy` chooses the device",
    "verbose": "progress is always shown as a progress bar",
}


@dataclasses.dataclass(frozen=True)
class Unavailable:
    """A hyper-parameter that this version does not support.

    Attributes:
        neutral: Values that change nothing and are therefore accepted.
        reason: Why any other value is rejected, and what to do instead.
    """

    neutral: tuple[Any, ...]
    reason: str


# Rejected, unless the value changes nothing.
INVALID = {
    "augmix_params": Unavailable((None, [3, -1, 1]), "AugMix is not available in this version"),
    "backbone_config": Unavailable(
        (None,), "choose a backbone with backbone_name; its blocks cannot be redefined"
    ),
    "data_format": Unavailable(
        (None, "channels_last"), "only channels_last (N, H, W, C) is supported"
    ),
    "dataset_type": Unavailable(
        (None, ""), "only TFRecords in the format of dataset/create_*_tfrecord.py can be read"
    ),
    "fpn_config": Unavailable((None,), "choose a fusion network with fpn_name"),
    "fpn_quad_method": Unavailable((None,), "use fpn_name=qufpn and fpn_weight_method"),
    "pooling_type": Unavailable(
        (None, "", "max"), "feature maps are always downsampled by max pooling"
    ),
    "target_size": Unavailable((None,), "images are always scaled to image_size"),
    "tflite_max_detections": Unavailable(
        (None, 100), "LiteRT export is not available in this version"
    ),
    "use_augmix": Unavailable((None, False), "AugMix is not available in this version"),
}
