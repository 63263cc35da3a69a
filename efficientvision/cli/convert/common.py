"""The flags that the converters of boxes share."""

from __future__ import annotations

from absl import flags

from efficientvision.data.photos import MAX_PIXELS


def define_common_flags() -> None:
    """Declares the flags for photos that are held out or cannot be used, and for processes."""
    flags.DEFINE_bool(
        "skip_bad", False, "skip images that cannot be used; they are counted and listed"
    )
    flags.DEFINE_float("val_fraction", None, "share (0..1) of the images to hold out as a val part")
    flags.DEFINE_integer("split_seed", 0, "random seed of the held-out part")
    flags.DEFINE_integer("max_pixels", MAX_PIXELS, "reject photos with more pixels (0 = no limit)")
    flags.DEFINE_integer("num_threads", None, "parallel processes; by default one per core")
