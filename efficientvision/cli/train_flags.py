"""The flags of `main.py`: implemented, aliases, obsolete and unavailable (see `flags`)."""

from __future__ import annotations

from efficientvision.cli.flag_spec import FlagSpec, UnavailableFlag, specs_of
from efficientvision.configs.run_options import RunOptions

IMPLEMENTED = specs_of(RunOptions)

# Other names for the same flag: those of earlier and later published versions.
ALIASES = {
    "training_file_pattern": "train_file_pattern",
    "validation_file_pattern": "val_file_pattern",
    "eval_after_training": "eval_after_train",
    "tf_random_seed": "seed",
}

_NO_PARTITION = (
    "images are not split across TPU cores; if an image does not fit on one core, use "
    "grad_checkpoint=true, mixed_precision=true or a smaller batch"
)

# Reported only if the flag is set to something other than false.
OBSOLETE = {
    "eval_master": (
        FlagSpec("str", "", "obsolete"),
        "evaluation always runs in this process",
    ),
    "run_epoch_in_child_process": (
        FlagSpec("bool", False, "obsolete"),
        "memory use does not grow from epoch to epoch",
    ),
    "use_spatial_partition": (
        FlagSpec("bool", False, "obsolete"),
        _NO_PARTITION,
    ),
    "num_cores_per_replica": (
        FlagSpec("int", 8, "obsolete"),
        _NO_PARTITION,
    ),
    "input_partition_dims": (
        FlagSpec("ints", [1, 4, 2, 1], "obsolete"),
        _NO_PARTITION,
    ),
}

# Rejected, each with its reason.
INVALID: dict[str, UnavailableFlag] = {}
