"""What the demonstrations share: their way to model_inspect.py, and the small networks of ours."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping, Sequence

from absl import flags

from efficientvision import files
from efficientvision.cli import inspect
from efficientvision.cli.flag_spec import FlagSpec
from efficientvision.cli.flags import define_flag, define_inspect_flags
from efficientvision.errors import UserError
from efficientvision.registry import list_models

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"
PHOTOS = "./sample_images"
_SHIPPED_PHOTO = TESTDATA / "img1.jpg"


def say_shipped(wanted: str, published: str = "") -> None:
    """Says that a small network is shown, and how the wanted one is fetched.

    Args:
        wanted: published file that is not here, without `.pth`.
        published: what is published, where that is less than the flags can name.
    """
    print(
        f"There is no {wanted}.pth here: this is a small network of ours that knows made shapes "
        f"only. The published weights come with\n  dataset/download_edgenets.sh {wanted}"
    )
    if published:
        print(f"(published are {published})")


def photos(given: str | None, shipped: bool, flag: str) -> str:
    """The photos to look at.

    Args:
        given: by the user, or None.
        shipped: the network is one of ours: it is shown the photo that comes with it, where there
            is no folder of photos.
        flag: which names photos.

    Raises:
        UserError: none are given, and there is no such folder.
    """
    if given:
        return given
    if files.exists(PHOTOS):
        return PHOTOS
    if not shipped:
        raise UserError(f"there is no folder {PHOTOS} here: name your photos with --{flag}")
    return str(_SHIPPED_PHOTO)


def define_flags(specs: Mapping[str, FlagSpec], flag_values: flags.FlagValues) -> None:
    """Declares flags by name; `edgenets_spelling` makes them of what EdgeNets' users type."""
    for name, spec in specs.items():
        define_flag(name, spec, flag_values)


def run_inspect(arguments: Sequence[str]) -> int | None:
    """Prints the command of model_inspect.py with these flags, and runs it; returns its exit code.

    Raises:
        UserError: bad flags or bad input.
    """
    command = ["model_inspect.py", *arguments]
    print(f"The same by the general program: python {shlex.join(command)}", flush=True)
    general = flags.FlagValues()
    define_inspect_flags(general)
    return inspect.main(general(command), general)


def say_without_effect(given: flags.FlagValues, reasons: Mapping[str, str | bool]) -> None:
    """Names the flags that were given in vain.

    Args:
        given: parsed flags.
        reasons: flag -> why it has no effect; empty or False: it has one.
    """
    for name, reason in reasons.items():
        if reason and given[name].present:
            print(f"Flag --{name.replace('_', '-')} has no effect: {reason}")


def live_reasons(
    given: flags.FlagValues, photo_flag: str, folder_flag: str
) -> dict[str, str | bool]:
    """Of `say_without_effect`: the flags that --live, or its absence, makes useless."""
    return {
        photo_flag: given.live and "--live watches --stream",
        folder_flag: given.live and "--live shows what it sees on a page",
        "stream": not given.live and "it is watched with --live",
    }


def backbone_name(given: flags.FlagValues, task: str) -> str:
    """The network that --model and --s name.

    Raises:
        UserError: there is none of that width.
    """
    name, known = f"{given.model}_s_{given.s}", list_models(task)
    if name not in known:
        widths = [n.rpartition("_")[2] for n in known if n.startswith(given.model)]
        raise UserError(f"--model {given.model} has no width --s {given.s}: {', '.join(widths)}")
    return name


def edgenets_spelling(argv: Sequence[str]) -> list[str]:
    """A command line in EdgeNets' spelling in absl's: `--im-size 384 384` -> `--im_size=384x384`.

    Args:
        argv: with the program's name first.
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
