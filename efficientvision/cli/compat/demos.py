"""The two demonstrations of EdgeNets' README: photos with what a network sees in them.

Each translates its flags into a command of model_inspect.py, prints it and runs it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence

from absl import flags

from efficientvision import files
from efficientvision.cli import inspect
from efficientvision.cli.compat.command import dashed
from efficientvision.cli.compat.published import (
    PUBLISHED_DETECTORS,
    find_published,
    network_name,
    published_name,
)
from efficientvision.cli.flags import FlagSpec, define_flag, define_inspect_flags
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.errors import UserError

_TESTDATA = pathlib.Path(__file__).resolve().parents[3] / "testdata"
_PHOTOS = "./sample_images"
_BUILD_SIZE = 224


_SIZE_REASON = "only DiCENet's kernels are built for an image size"
_KERNELS = "dicenet: image {} that its kernels are built for"
_FLAGS = {
    "model": FlagSpec(("espnetv2", "dicenet"), "espnetv2", "network"),
    "s": FlagSpec("float", 2.0, "width of the network"),
    "live": FlagSpec("bool", False, "watch --stream on a live page in the browser"),
    "stream": FlagSpec("str", "0", "--live: camera number, video file, or URL"),
}


@dataclasses.dataclass(frozen=True)
class Demo:
    """One demonstration.

    Attributes:
        task: Its task.
        shipped_weights: The small network that is shown where there are no published weights.
        photo_flag: Its flag for the photos.
        folder_flag: Its flag for the folder of pictures.
        sizes: `--dataset` -> sizes of the published files, best first.
        own_flags: Its other flags.
        published: What is published, where that is less than the flags can name.
    """

    task: str
    shipped_weights: pathlib.Path
    photo_flag: str
    folder_flag: str
    sizes: Mapping[str, Sequence[str]]
    own_flags: Mapping[str, FlagSpec]
    published: str = ""

    def define_flags(self, flag_values: flags.FlagValues = flags.FLAGS) -> None:
        """Declares the flags; `edgenets_spelling` makes them of what EdgeNets' users type."""
        data_sets = tuple(self.sizes)
        dataset = FlagSpec(data_sets, data_sets[0], "data set of the published weights")
        for name, spec in {**_FLAGS, "dataset": dataset, **self.own_flags}.items():
            define_flag(name, spec, flag_values)

    def main(self, argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> int | None:
        """Runs model_inspect.py as the flags of the demonstration say.

        Args:
            argv: Not used; there are no words beside the flags.
            flag_values: Parsed flags.

        Returns:
            The exit code; None: 0.

        Raises:
            UserError: Bad flags or bad input.
        """
        del argv
        for name, reason in self._without_effect(flag_values).items():
            if reason and name in flag_values and flag_values[name].present:
                print(f"Flag {dashed(name)} has no effect: {reason}")
        command = ["model_inspect.py", *self._arguments(flag_values)]
        print(f"Equivalent command: python {shlex.join(command)}", flush=True)
        general = flags.FlagValues()
        define_inspect_flags(general)
        return inspect.main(general(command), general)

    def _without_effect(self, given: flags.FlagValues) -> dict[str, str | bool]:
        """Why flags have no effect; empty or False: they have one."""
        own = given.weights_test
        kernels = given.model != "dicenet" and _SIZE_REASON
        reasons = {
            self.photo_flag: given.live and "--live watches --stream",
            self.folder_flag: given.live and "--live shows its results on a page",
            "stream": not given.live and "it needs --live",
        }
        if self.task == "detection":
            return reasons | {"dataset": own and "the weights determine the classes"}
        return reasons | {
            "num_classes": "the weights determine the classes",
            "im_size": own and "it chooses a published file, and --weights-test names a file",
            "model_width": kernels,
            "model_height": kernels,
        }

    def _arguments(self, given: flags.FlagValues) -> list[str]:
        """Flags of model_inspect.py."""
        segments = self.task == "segmentation"
        if segments:
            _check_segmentation(given)
        weights = given.weights_test or self._published_weights(given)
        shipped = weights == str(self.shipped_weights)
        published = not (given.weights_test or shipped)
        found = [f"--ckpt_path={weights}"]
        if published or not shipped and (given["model"].present or given["s"].present):
            found.append(f"--model_name={network_name(given.model, given.s, self.task)}")
        if segments:
            sides = (given.model_width, given.model_height)
            if not shipped and given.model == "dicenet" and sides != (_BUILD_SIZE, _BUILD_SIZE):
                found.append(f"--hparams=build_size={given.model_width}x{given.model_height}")
            found.append("--input_image_size=photo")
        else:
            if published or not shipped and given["im_size"].present:
                found.append(f"--input_image_size={given.im_size}")
            found.append(f"--min_score_thresh={given.conf_threshold:g}")
        if given.live:
            video = ["--runmode=saved_model_video", "--saved_model_dir="]
            return [*video, *found, f"--input_video={given.stream}"]
        return [
            "--runmode=infer",
            f"--task={self.task}",
            *found,
            f"--input_image={self._photos(given[self.photo_flag].value, shipped)}",
            f"--output_image_dir={given[self.folder_flag].value}",
        ]

    def _photos(self, given: str | None, shipped: bool) -> str:
        """The photos to look at; the shipped network has one of its own."""
        if given:
            return given
        if files.exists(_PHOTOS):
            return _PHOTOS
        if not shipped:
            flag = dashed(self.photo_flag)
            raise UserError(f"there is no folder {_PHOTOS} here: name your photos with {flag}")
        return str(_TESTDATA / "img1.jpg")

    def _published_weights(self, given: flags.FlagValues) -> str:
        """The published file that the flags name; without it the shipped network, and says so."""
        network = network_name(given.model, given.s, self.task)
        size = str(given.im_size or "")
        sizes = [size if "x" in size else f"{size}x{size}"] if size else self.sizes[given.dataset]
        names = [published_name(network, given.dataset, size) for size in sizes]
        for name in names:
            if path := find_published(self.task, name):
                return path
        print(
            f"There is no {names[0]}.pth here, so this is a small demo network that only knows "
            "synthetic shapes. Download the published weights with\n"
            f"  dataset/download_edgenets.sh {names[0]}"
        )
        if self.published:
            print(f"(published: {self.published})")
        return str(self.shipped_weights)


def _check_segmentation(given: flags.FlagValues) -> None:
    """Refuses other than 3 channels, and weights of another data set than --dataset."""
    if given.channels != 3:
        raise UserError(f"--channels {given.channels}: photos have 3 channels here, grey ones too")
    if not given.weights_test or not given["dataset"].present:
        return
    from efficientvision.weights.identify import identify

    load_tensorflow_quietly()
    classes = {"pascal": 21, "city": 20}[given.dataset]
    found = identify(given.weights_test).num_classes
    if found not in (None, classes):
        raise UserError(
            f"--dataset {given.dataset} has {classes} classes, but {given.weights_test} has "
            f"{found}: remove --dataset, since the weights determine the classes"
        )


DETECTION = Demo(
    "detection",
    _TESTDATA / "shapes_detector",
    photo_flag="im_dir",
    folder_flag="save_dir",
    sizes=dict.fromkeys(("coco", "pascal"), ("512x512", "300x300")),
    own_flags={
        "weights_test": FlagSpec(
            "str", "", "checkpoint of any detector; the network is read from it"
        ),
        "im_size": FlagSpec("int", 512, "input size of the network; published: 300 and 512"),
        "im_dir": FlagSpec("str", None, f"photo, folder or glob of photos (default: {_PHOTOS})"),
        "save_dir": FlagSpec("str", "vis_detect", "folder for the pictures"),
        "conf_threshold": FlagSpec("float", 0.3, "draw only boxes with at least this score"),
    },
    published=PUBLISHED_DETECTORS,
)
SEGMENTATION = Demo(
    "segmentation",
    _TESTDATA / "shapes_segmenter",
    photo_flag="data_path",
    folder_flag="savedir",
    sizes={"pascal": ("384x384", "256x256"), "city": ("1024x512", "512x256")},
    own_flags={
        "weights_test": FlagSpec(
            "str", "", "checkpoint of any segmenter; the network is read from it"
        ),
        "data_path": FlagSpec("str", None, f"photo, folder or glob of photos (default: {_PHOTOS})"),
        "savedir": FlagSpec("str", "segmentation_results", "folder for the pictures"),
        "im_size": FlagSpec(
            "str", None, "width and height in the name of the published file: --im-size 384 384"
        ),
        "model_width": FlagSpec("int", _BUILD_SIZE, _KERNELS.format("width")),
        "model_height": FlagSpec("int", _BUILD_SIZE, _KERNELS.format("height")),
        "channels": FlagSpec("int", 3, "channels of a photo: always 3"),
        "num_classes": FlagSpec("int", 1000, "no effect: the weights determine the classes"),
    },
)


def edgenets_spelling(argv: Sequence[str]) -> list[str]:
    """A command line in EdgeNets' spelling in absl's: `--im-size 384 384` -> `--im_size=384x384`.

    Args:
        argv: With the program's name first.
    """
    words = list(argv[:1])
    for word in argv[1:]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            words.append(f"--{name[2:].replace('-', '_')}{equals}{value}")
        elif not words[-1].startswith("--"):
            words.append(word)
        else:
            words[-1] += f"{'x' if '=' in words[-1] else '='}{word}"
    return words
