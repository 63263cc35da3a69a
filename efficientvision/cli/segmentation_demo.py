"""What the pixels of photos show: the demonstration of EdgeNets' README, with its flags.

  python segmentation_demo.py --model espnetv2 --s 2.0 --dataset pascal --data-path photos
  python segmentation_demo.py --weights-test espnetv2_s_2.0_city_1024x512.pth --data-path street.jpg
  python segmentation_demo.py --live

Each photo is seen at its own size, rounded down to multiples of 32, and drawn with its classes as
<savedir>/0.jpg, 1.jpg, ... The weights are --weights-test, else the published file of --model, --s,
--dataset and --im-size, if it is here or where EdgeNets keep it (model/segmentation/model_zoo).
Where there is none, a small network of ours is shown, which knows made shapes only. The command of
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
from efficientvision.cli.edgenets_values import find_published
from efficientvision.cli.flag_spec import FlagSpec
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.errors import UserError

SHIPPED_WEIGHTS = TESTDATA / "shapes_segmenter"
_BUILD_SIZE = 224
# --dataset -> number of classes, and sizes of the published files, the better ones first.
_DATA_SETS = {
    "pascal": (21, ("384x384", "256x256")),
    "city": (20, ("1024x512", "512x256")),
}
_FLAGS = {
    "model": FlagSpec(("espnetv2", "dicenet"), "espnetv2", "network"),
    "s": FlagSpec("float", 2.0, "width of the network"),
    "dataset": FlagSpec(tuple(_DATA_SETS), "pascal", "what the published weights know"),
    "weights_test": FlagSpec("str", "", "checkpoint of any segmenter; its network is read from it"),
    "data_path": FlagSpec("str", None, f"photo, folder or glob of photos (default: {PHOTOS})"),
    "savedir": FlagSpec("str", "segmentation_results", "folder for the pictures"),
    "im_size": FlagSpec(
        "str", None, "width and height in the name of the published file, --im-size 384 384"
    ),
    "model_width": FlagSpec("int", _BUILD_SIZE, "dicenet: width that its kernels are made for"),
    "model_height": FlagSpec("int", _BUILD_SIZE, "dicenet: height that its kernels are made for"),
    "channels": FlagSpec("int", 3, "of a photo: 3"),
    "num_classes": FlagSpec("int", 1000, "no effect: the weights say their classes"),
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
    _check(flag_values)
    return run_inspect(_arguments(flag_values))


def _check(given: flags.FlagValues) -> None:
    """Refuses values that cannot be, and names the flags that have no effect."""
    if given.channels != 3:
        raise UserError(f"--channels {given.channels}: photos have 3 channels here, grey ones too")
    weights_given = bool(given.weights_test)
    without_effect = {
        "num_classes": "the weights say their classes",
        "im_size": weights_given and "it chooses among published files, and --weights-test is one",
        "model_width": given.model != "dicenet" and "only DiCENet's kernels are made for a size",
        "model_height": given.model != "dicenet" and "only DiCENet's kernels are made for a size",
    }
    say_without_effect(given, without_effect | live_reasons(given, "data_path", "savedir"))


def _arguments(given: flags.FlagValues) -> list[str]:
    """Flags of `model_inspect.py`."""
    weights, found = _weights(given), []
    shipped = weights == str(SHIPPED_WEIGHTS)
    if not shipped and _is_set(given, "model", "s"):
        found.append(f"--model_name={backbone_name(given, 'segmentation')}")
    build_hw = (given.model_height, given.model_width)
    if not shipped and given.model == "dicenet" and build_hw != (_BUILD_SIZE, _BUILD_SIZE):
        found.append(f"--hparams=build_size={given.model_width}x{given.model_height}")
    found += [f"--ckpt_path={weights}", "--input_image_size=photo"]
    if given.live:
        return ["--runmode=saved_model_video", "--saved_model_dir=", *found] + [
            f"--input_video={given.stream}"
        ]
    looked_at = photos(given.data_path, shipped, "data-path")
    return ["--runmode=infer", "--task=segmentation", *found] + [
        f"--input_image={looked_at}",
        f"--output_image_dir={given.savedir}",
    ]


def _weights(given: flags.FlagValues) -> str:
    """The checkpoint to show; says so where it is the small one of ours."""
    if given.weights_test:
        if given["dataset"].present:
            _check_classes(given.weights_test, given.dataset)
        return given.weights_test
    name = backbone_name(given, "segmentation")
    _, sizes = _DATA_SETS[given.dataset]
    sizes = [given.im_size] if given.im_size else sizes
    names = [f"{name}_{given.dataset}_{size}" for size in sizes]
    for found in names:
        if path := find_published("segmentation", found):
            return path
    say_shipped(names[0])
    return str(SHIPPED_WEIGHTS)


def _check_classes(weights: str, dataset: str) -> None:
    """Makes sure that weights are of the data set that the user named with them."""
    from efficientvision.weights.identify import identify

    load_tensorflow_quietly()
    classes, _ = _DATA_SETS[dataset]
    found = identify(weights).num_classes
    if found not in (None, classes):
        raise UserError(
            f"--dataset {dataset} has {classes} classes, and {weights} has {found}: leave "
            "--dataset out, the weights say what they know"
        )


def _is_set(given: flags.FlagValues, *names: str) -> bool:
    return any(given[name].present for name in names)
