"""Objects in photos: the demonstration of EdgeNets' README, with its flags.

  python detection_demo.py --model espnetv2 --s 2.0 --dataset coco --im-dir photos
  python detection_demo.py --weights-test runs/cells --im-dir cells --conf-threshold 0.5
  python detection_demo.py --live

Photos are drawn with boxes as <save-dir>/0.jpg, 1.jpg, ... The weights are --weights-test (a
published file, a run's folder, any detector), else the published file of --model, --s, --dataset
and --im-size, if it is here or where EdgeNets keep it (model/detection/model_zoo). Where there is
none, a small network of ours is shown, which knows made shapes only. The command of
model_inspect.py that does the same is printed: more is possible with that.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.demonstration import (
    PHOTOS,
    TESTDATA,
    backbone_name,
    define_flags,
    live_reasons,
    photos,
    run_inspect,
    say_shipped,
    say_without_effect,
)
from efficientvision.cli.edgenets_detection import PUBLISHED, published_name
from efficientvision.cli.edgenets_values import find_published
from efficientvision.cli.flag_spec import FlagSpec

SHIPPED_WEIGHTS = TESTDATA / "shapes_detector"
_FLAGS = {
    "model": FlagSpec(("espnetv2", "dicenet"), "espnetv2", "network"),
    "s": FlagSpec("float", 2.0, "width of the network"),
    "dataset": FlagSpec(("coco", "pascal"), "coco", "what the published weights know"),
    "weights_test": FlagSpec("str", "", "checkpoint of any detector; its network is read from it"),
    "im_size": FlagSpec("int", 512, "size of the network's input, published: 300 and 512"),
    "im_dir": FlagSpec("str", None, f"folder of photos, a photo, or a glob (default: {PHOTOS})"),
    "save_dir": FlagSpec("str", "vis_detect", "folder for the pictures"),
    "conf_threshold": FlagSpec("float", 0.3, "least score of a box that is drawn"),
    "live": FlagSpec("bool", False, "watch --stream, on a live page in the browser"),
    "stream": FlagSpec("str", "0", "--live: camera by its number, video file, or URL"),
}


def define_demo_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags; `edgenets_spelling` makes them of what EdgeNets' users type."""
    define_flags(_FLAGS, flag_values)


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int | None:
    """Runs model_inspect.py as the flags of the demonstration say.

    Args:
        argv: what was no flag; not used.
        flag_values: parsed flags of `define_demo_flags`.

    Returns:
        The exit code; None: 0.

    Raises:
        UserError: bad flags or bad input.
    """
    del argv
    reasons = {"dataset": flag_values.weights_test and "the weights say their classes"}
    say_without_effect(flag_values, reasons | live_reasons(flag_values, "im_dir", "save_dir"))
    return run_inspect(_arguments(flag_values))


def _arguments(given: flags.FlagValues) -> list[str]:
    """Flags of `model_inspect.py`."""
    weights = given.weights_test or _published_weights(given)
    shipped = weights == str(SHIPPED_WEIGHTS)
    found = [f"--ckpt_path={weights}"]
    published = not (given.weights_test or shipped)
    if published or not shipped and (given["model"].present or given["s"].present):
        found.append(f"--model_name={backbone_name(given, 'detection')}")
    if published or not shipped and given["im_size"].present:
        found.append(f"--input_image_size={given.im_size}")
    found.append(f"--min_score_thresh={given.conf_threshold:g}")
    if given.live:
        return ["--runmode=saved_model_video", "--saved_model_dir=", *found] + [
            f"--input_video={given.stream}"
        ]
    looked_at = photos(given.im_dir, shipped, "im-dir")
    return ["--runmode=infer", "--task=detection", *found] + [
        f"--input_image={looked_at}",
        f"--output_image_dir={given.save_dir}",
    ]


def _published_weights(given: flags.FlagValues) -> str:
    """The published file that the flags name; says so where it is not here, and ours is shown."""
    name = published_name(backbone_name(given, "detection"), given.dataset, given.im_size)
    if path := find_published("detection", name):
        return path
    say_shipped(name, PUBLISHED)
    return str(SHIPPED_WEIGHTS)
