"""`efficientvision push`."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.commands.base import Argument, Call, Command, grouped
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.push_options import PushOptions, push_options
from efficientvision.errors import UserError
from efficientvision.weights.hub_address import SCHEME, is_hub_address, parse_address

_GROUPS = {
    "Model card": ("license", "datasets"),
    "Files": ("last", "formats", "exports", "pictures", "folder", "dry_run"),
    "Repository": ("private", "revision", "message"),
}


def _check(call: Call) -> None:
    run, repo = call.words
    if not files.is_folder(run):
        raise UserError(f"RUN {run} does not exist: expected the folder of a training run.")
    parse_address(repo if is_hub_address(repo) else SCHEME + str(repo))
    push_options(call.options)


def _run(call: Call) -> None:
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs.push import push

    run, repo = call.words
    push(run, str(repo), **call.options)


COMMAND = Command(
    name="push",
    summary="Publishes a run's model on the Hugging Face Hub, with a model card.",
    details="""
Uploads the weights of the best checkpoint (model.safetensors), the
configuration, the names of the classes, the metrics, and README.md: a model
card with the measured table and the lines that load the model. Photos, data,
paths and the command line stay on this machine. Every file and its size is
listed first. Log in with "hf auth login", or set HF_TOKEN.
""",
    examples=[
        (
            "efficientvision push runs/cells hf://user/cells --license=apache-2.0",
            "for everyone; efficientvision predict hf://user/cells photos/ runs it",
        ),
        (
            "efficientvision push runs/cells hf://user/cells --dry_run --folder=card",
            "writes the files to a folder, to look at them first",
        ),
        (
            "efficientvision push runs/cells hf://user/cells --private --formats=litert",
            "private, with an export for phones",
        ),
    ],
    arguments=[
        Argument("RUN", "the folder of a training run", options=("run",)),
        Argument("REPO", "hf://user/repo; it is created if it does not exist", options=("repo",)),
    ],
    groups=grouped(PushOptions, _GROUPS),
    run=_run,
    check=_check,
)
