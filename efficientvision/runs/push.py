"""`ev.push`: publishes a run's model on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from efficientvision import files
from efficientvision.configs.overrides import read_yaml
from efficientvision.configs.push_options import PushOptions, push_options
from efficientvision.configs.yaml_text import dump_yaml
from efficientvision.errors import UserError
from efficientvision.evaluation.details import PER_CLASS
from efficientvision.evaluation.thresholds import THRESHOLDS_NAME
from efficientvision.exports.load_export import is_export
from efficientvision.files import AnyPath
from efficientvision.loading import CONFIG_FILE, LABELS_FILE, load_model
from efficientvision.output_folder import check_output_folder
from efficientvision.report.evaluation_files import (
    EVALUATION_NAME,
    MISTAKES_SHEET_NAME,
    PREDICTIONS_NAME,
)
from efficientvision.report.model_card import CardExport, CardFacts, write_card
from efficientvision.report.run_files import RunFiles, check_is_run, read_run
from efficientvision.runs import calls
from efficientvision.tasks.choice import task_of_config
from efficientvision.training.best_checkpoint import ARCHIVE_NAME
from efficientvision.training.checkpoints import latest_checkpoint, step_of
from efficientvision.weights.hub import hub_errors, import_library, shown_size
from efficientvision.weights.hub_address import (
    SCHEME,
    HubAddress,
    is_hub_address,
    parse_address,
)
from efficientvision.weights.variables_file import read_inference_weights, write_variables

log = logging.getLogger(__name__)

WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "README.md"
EXPORTS_NAME = "exports"
# Of the folders that an export writes.
_EXPORTED = (".tflite", ".onnx", ".xml", ".bin", ".pb", ".json")
_INSIDE_EXPORTS = ("variables", "assets", ".mlpackage")


@dataclass(frozen=True)
class Pushed:
    """A published model.

    Attributes:
        address: What `ev.load` takes: `hf://user/repo`, with `@branch` unless it is main.
        url: Page of the commit; None: `dry_run`.
        files: Path in the repository -> bytes.
        folder: Folder with the files, if one was named.
    """

    address: str
    url: str | None
    files: dict[str, int]
    folder: str | None


def push(run: AnyPath, repo: str, **options: Any) -> Pushed:
    """Publishes a run's model on the Hugging Face Hub, with a model card of its measured metrics.

    Uploads the best checkpoint as `model.safetensors`, `config.yaml`, `labels.json`,
    `thresholds.json`, the metrics and `README.md`; exports and pictures only if asked. The data,
    their paths, the command line and the log stay on this machine. What will be uploaded, and how
    large it is, is logged first. Needs `efficientvision[hub]` and a token that may write
    (`hf auth login`, or `HF_TOKEN`).

    Args:
        run: folder of the run.
        repo: `user/repo`, or `hf://user/repo`; it is created if it does not exist.
        **options: options of `PushOptions`: `license`, `private`, `formats`, `dry_run`, ...

    Returns:
        The address, the page of the commit, and the files.

    Raises:
        UserError: an option is invalid; the folder is no run or has no checkpoint; a file would
            tell a path of this machine; or the hub refuses the upload.

    Example:
        >>> push("runs/cells", "user/cells", license="apache-2.0")
        >>> detector = load("hf://user/cells")
    """
    decided = push_options(options)
    address = push_address(repo, decided)
    folder = files.as_text(run)
    check_is_run(folder)
    checkpoint = _checkpoint(folder, decided)
    library = None if decided.dry_run else import_library(str(address))
    if decided.folder:
        _check_new_folder(decided.folder)
    with _staging(decided) as staged:
        _write(staged, folder, checkpoint, address, decided)
        sizes = _sizes(staged)
        _check_private(staged, sizes, folder)
        _announce(sizes, address, decided)
        url = None if library is None else _upload(library, staged, address, decided)
        if library is None:
            log.info(f"`dry_run`: nothing was uploaded; the files are in {decided.folder}.")
        else:
            log.info(f"Published: {url}\nLoad it with {address}.")
    return Pushed(str(address), url, sizes, decided.folder)


def push_address(repo: str, options: PushOptions) -> HubAddress:
    """The repository and branch to upload to.

    Raises:
        UserError: It is no repository.
    """
    address = parse_address(repo if is_hub_address(repo) else SCHEME + repo)
    if address.path:
        raise UserError(f"{repo} names a file: a model is published as a repository, user/repo.")
    if address.revision and options.revision:
        raise UserError(f"{repo} and `revision={options.revision}` both name a branch: remove one.")
    return address._replace(revision=address.revision or options.revision or "")


def _checkpoint(folder: str, options: PushOptions) -> str:
    """The checkpoint to publish."""
    best = latest_checkpoint(files.join(folder, ARCHIVE_NAME))
    if best is not None and not options.last:
        return best
    last = latest_checkpoint(folder)
    if last is None:
        raise UserError(f"{folder} has no checkpoint (ckpt-<step>.npz) to publish.")
    if not options.last:
        log.info(f"No checkpoint of {folder} was evaluated: publishing the latest, {last}.")
    return last


def _check_new_folder(folder: str) -> None:
    check_output_folder("folder", folder)
    if files.is_remote(folder) or files.list_names(folder):
        raise UserError(f"`folder={folder}` must be a new or empty folder of this machine.")


@contextlib.contextmanager
def _staging(options: PushOptions) -> Iterator[str]:
    """The folder that the files are written to."""
    if options.folder:
        was_there = files.is_folder(options.folder)
        files.make_folder(options.folder)
        try:
            yield options.folder
        except BaseException:  # Nothing half-written stays behind.
            files.remove_folder(options.folder)
            if was_there:
                files.make_folder(options.folder)
            raise
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield folder


def _write(
    staged: str, folder: str, checkpoint: str, address: HubAddress, options: PushOptions
) -> None:
    """Writes everything that is uploaded."""
    weights = files.join(staged, WEIGHTS_NAME)
    content = read_run(folder)
    step = step_of(checkpoint)
    named = str(content.config.get("name", ""))
    write_variables(weights, read_inference_weights(checkpoint), {"model": named})
    _copy_config(folder, staged)
    for place in (files.parent(checkpoint), folder):
        for name in (LABELS_FILE, THRESHOLDS_NAME):
            # The thresholds beside a checkpoint are its own.
            own = name == LABELS_FILE or place == files.parent(checkpoint)
            source, target = files.join(place, name), files.join(staged, name)
            if own and files.is_file(source) and not files.is_file(target):
                files.copy(source, target)
    loaded = load_model(weights)  # Also proves that it can be loaded.
    if not files.is_file(files.join(staged, LABELS_FILE)) and loaded.class_names:
        names = {str(number): name for number, name in loaded.class_names.items()}
        text = json.dumps(names, indent=1, ensure_ascii=False)
        files.write_text(files.join(staged, LABELS_FILE), text + "\n")
    metrics, images = _metrics(content, step)
    if metrics:
        facts = {"step": step, "images": images, "metrics": metrics}
        files.write_text(files.join(staged, EVALUATION_NAME), json.dumps(facts, indent=1) + "\n")
    _copy_tables(content, step, staged)
    exports = _exports(folder, checkpoint, staged, options)
    if options.pictures:
        _copy_pictures(content, step, folder, staged)
    card = CardFacts(
        address=str(address).removeprefix(SCHEME),
        step=step,
        metrics=metrics,
        images=images,
        parameters=loaded.model.count_params(),
        weights_bytes=files.size(weights),
        exports=exports,
        license=options.license,
        datasets=options.dataset_list,
        pictures=options.pictures,
    )
    text = write_card(content, task_of_config(loaded.config), loaded, card)
    files.write_text(files.join(staged, CARD_NAME), text)


def _copy_config(folder: str, staged: str) -> None:
    """Copies `config.yaml`, without paths of this machine."""
    values = read_yaml(files.join(folder, CONFIG_FILE))
    names = values.get("label_map")
    if isinstance(names, str) and (os.path.dirname(names) or "." in names):
        log.info(f"label_map={names} is left out of config.yaml: labels.json has the names.")
        values["label_map"] = None
    files.write_text(files.join(staged, CONFIG_FILE), dump_yaml(values))


def _metrics(run: RunFiles, step: int) -> tuple[dict[str, float], int | None]:
    """The metrics of a step, and the number of images on which they were measured."""
    if run.best.get("step") == step:
        values = {k: v for k, v in run.best.items() if k not in ("step", "images")}
        return values, run.best.get("images")
    if run.evaluation.get("step") == step:
        return dict(run.evaluation.get("metrics", {})), run.evaluation.get("images")
    return dict(run.evaluations.get(step, {})), None


def _copy_tables(run: RunFiles, step: int, staged: str) -> None:
    """Copies the table by class, if it is of this checkpoint."""
    evaluated = run.evaluation.get("step")
    if evaluated == step and run.per_class:
        name = f"{PER_CLASS}.csv"
        files.copy(files.join(run.folder, name), files.join(staged, name))
    elif evaluated is not None:
        log.info(
            f"per_class.csv is left out: it is of step {evaluated}, and the checkpoint of step "
            f"{step}."
        )


def _copy_pictures(run: RunFiles, step: int, folder: str, staged: str) -> None:
    for name in (PREDICTIONS_NAME, MISTAKES_SHEET_NAME):
        source = files.join(folder, name)
        if not files.is_file(source):
            raise UserError(f"`pictures`: {source} does not exist; remove `pictures`.")
        files.copy(source, files.join(staged, name))
    if run.evaluation.get("step") != step:
        log.info(f"Warning: the pictures are of step {run.evaluation.get('step')}, not {step}.")


def _exports(folder: str, checkpoint: str, staged: str, options: PushOptions) -> list[CardExport]:
    """Writes or copies exports."""
    target = files.join(staged, EXPORTS_NAME)
    if options.formats:
        written = calls.export(checkpoint, options.format_list, target)
        return [
            CardExport(
                files.relative(one.path, staged).replace(os.sep, "/"),
                round(1e6 * one.megabytes),
                one.milliseconds,
                one.metrics,
            )
            for one in written
        ]
    if not options.exports:
        return []
    source = options.exports
    copied = [path for path in _walk(source) if _is_exported(path)]
    if not any(is_export(files.join(source, path)) for path in copied):
        raise UserError(
            f"`exports={source}` has no exported model: write some with `efficientvision export`, "
            "or set `formats`."
        )
    for path in copied:
        place = os.path.join(target, *path.split("/"))
        files.make_folder(files.parent(place))
        files.copy(os.path.join(source, *path.split("/")), place)
    if left_out := len(_walk(source)) - len(copied):
        log.info(f"{left_out} files of {source} are left out: they are no exports.")
    return [
        CardExport(f"{EXPORTS_NAME}/{path}", files.size(os.path.join(target, path)))
        for path in copied
        if is_export(os.path.join(target, path))
    ]


def _is_exported(path: str) -> bool:
    return path.endswith(_EXPORTED) or any(f"{part}/" in path for part in _INSIDE_EXPORTS)


def _walk(folder: str) -> list[str]:
    """Paths of the files in a folder, relative to it, with slashes."""
    if not files.is_folder(folder):
        raise UserError(f"{folder} is not a folder.")
    return sorted(
        os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
        for place, _, names in os.walk(folder)
        for name in names
    )


def _sizes(staged: str) -> dict[str, int]:
    return {name: os.path.getsize(os.path.join(staged, name)) for name in _walk(staged)}


def _check_private(staged: str, sizes: Mapping[str, int], folder: str) -> None:
    """Checks that no file tells where the run or the user's files lie.

    Raises:
        UserError: One does.
    """
    here = {os.path.abspath(folder), os.path.expanduser("~") + os.sep, os.path.abspath(staged)}
    secrets = [path.encode() for path in here if len(path) > 2]
    for name in sizes:
        content = files.read_bytes(os.path.join(staged, name))
        found = next((secret for secret in secrets if secret in content), None)
        if found is not None:
            raise UserError(
                f"{name} was not uploaded, nor was anything else: it contains the path "
                f"{found.decode()}; remove it from the run's file of that name."
            )


def _announce(sizes: Mapping[str, int], address: HubAddress, options: PushOptions) -> None:
    """Logs what is uploaded, and how large it is."""
    verb = "Wrote" if options.dry_run else "Uploading"
    visibility = "private" if options.private else "public"
    log.info(f"{verb} {len(sizes)} files, {shown_size(sum(sizes.values()))}, for {address}:")
    width = max(map(len, sizes))
    for name, size in sizes.items():
        log.info(f"  {name:<{width}}  {shown_size(size)}")
    if not options.dry_run:
        log.info(
            f"A new repository is {visibility}; files of these names in an existing one are "
            "replaced."
        )
    if options.license is None:
        log.info("No licence is stated: without `license` nobody else may use the weights.")


def _upload(library: Any, staged: str, address: HubAddress, options: PushOptions) -> str:
    """Uploads the folder as one commit, and returns its page."""
    api = library.HfApi(library_name="efficientvision")
    with hub_errors(library, str(address), writing=True):
        if not library.get_token():
            raise UserError(
                f"{address} cannot be written: you are not logged in (`hf auth login`, or HF_TOKEN "
                "with a token that may write)."
            )
        api.create_repo(address.repo, private=options.private, exist_ok=True)
        if options.private and not api.repo_info(address.repo).private:
            raise UserError(
                f"{address} exists and is public, but `private` is set: nothing was uploaded. Make "
                "it private on the hub's page of it, or choose another name."
            )
        if address.revision:
            api.create_branch(address.repo, branch=address.revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=address.repo,
            folder_path=staged,
            revision=address.revision or None,
            commit_message=options.message or "Upload a model of efficientvision",
        )
    return str(done.commit_url)
