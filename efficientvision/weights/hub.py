"""Models on the Hugging Face Hub: the address `hf://user/repo` becomes a path on this machine.

The files lie in the cache of `huggingface_hub`, whose environment variables apply: `HF_TOKEN`,
`HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`. A hub is a stranger: its list of files, the names in it,
sizes and checksums are checked, and nothing is downloaded that this library does not read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.progress import tqdm
from efficientvision.tasks.choice import config_from_yaml
from efficientvision.weights.hub_address import HubAddress, is_hub_address, parse_address
from efficientvision.weights.hub_answers import RepositoryFile, read_listing, watched
from efficientvision.weights.hub_choice import Choice, choose_files
from efficientvision.weights.seed_runs import best_of_seeds

log = logging.getLogger(__name__)

# Gigabytes that one address may download; the largest published detector has 0.3.
LIMIT_VARIABLE = "EFFICIENTVISION_HUB_LIMIT_GB"
_LIMIT_GB = 4.0
# Larger downloads are announced.
_LARGE = 1_000_000
_HASH_BYTES = 1 << 20
_MOST_PIXELS = 4096

Options = TypeVar("Options")


def local_path(path: AnyPath) -> str:
    """Downloads what an address on the hub names, unless the cache has it.

    Args:
        path: An address (see `parse_address`), or any other path: see `best_of_seeds`.

    Returns:
        The path of the checkpoint or exported model, with its `config.yaml`, `labels.json` and the
        like beside it.

    Raises:
        UserError: `huggingface_hub` is not installed; the repository, the revision or the file does
            not exist, is private, or holds no model; the hub cannot be reached and the cache does
            not have the files; the download is too large, damaged or not safe.
    """
    text = files.as_text(path)
    if not is_hub_address(text):
        return best_of_seeds(text)
    address = parse_address(text)
    library = import_library(str(address))
    with hub_errors(library, str(address)):
        try:
            with watched(library, str(address)):
                commit, listing = read_listing(library, address.repo, address.revision)
        except (*_unreachable(library), library.errors.HfHubHTTPError) as error:
            return _from_cache(library, address, error)
        choice = choose_files(str(address), address.path, listing)
        return _download(library, address, commit, choice, listing)


def with_local_paths(options: Options, *names: str) -> Options:
    """Returns options, of a dataclass, in which `local_path` has replaced paths."""
    changed = {name: local_path(path) for name in names if (path := getattr(options, name))}
    return dataclasses.replace(options, **changed) if changed else options  # type: ignore[type-var]


def import_library(address: str) -> Any:
    """Imports `huggingface_hub`.

    Raises:
        UserError: It is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise UserError(
            f"{address} needs the package huggingface_hub: pip install 'efficientvision[hub]'."
        ) from error
    return huggingface_hub


@contextlib.contextmanager
def hub_errors(library: Any, address: str, *, writing: bool = False) -> Iterator[None]:
    """Turns errors of `huggingface_hub` into one sentence each.

    Args:
        library: The imported package.
        address: For the messages.
        writing: Whether something is uploaded.
    """
    errors = library.errors
    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError as error:
        raise UserError(
            f"{address} is gated: accept its conditions on the hub's page of it, then log in "
            "(`hf auth login`, or HF_TOKEN)."
        ) from error
    except errors.DisabledRepoError as error:
        raise UserError(f"{address} was disabled by the hub: use another repository.") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{address} does not exist, or is private and {_token(library)}: check the name, or "
            "log in (`hf auth login`, or HF_TOKEN)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{address} has no such revision: name a branch, tag or commit.") from error
    except errors.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise UserError(_refused(address, error.__cause__, writing)) from error
        raise UserError(_offline(library, address, error.__cause__ or error)) from error
    except errors.RemoteEntryNotFoundError as error:
        raise UserError(f"{address}: the hub lists a file that it does not have.") from error
    except errors.HFValidationError as error:
        raise UserError(f"{address} is no address on the hub: {_one_line(error)}") from error
    except errors.HfHubHTTPError as error:
        raise UserError(_refused(address, error, writing)) from error
    except _unreachable(library) as error:
        raise UserError(_offline(library, address, error)) from error
    except ValueError as error:
        raise UserError(f"{address}: {_one_line(error)}.") from error
    except OSError as error:
        if files.is_no_space(error):
            raise UserError(
                f"{address}: the disk of {library.constants.HF_HUB_CACHE} is full: free some "
                "space, or set HF_HOME to a folder on another disk."
            ) from error
        if "Consistency check failed" in str(error):
            raise UserError(
                f"{address}: the download ended early, or has another size than the hub lists: "
                "try again."
            ) from error
        raise


def _refused(address: str, error: Any, writing: bool) -> str:
    """The sentence for a refusal of the hub."""
    code = error.response.status_code
    if code in (401, 403):
        action = "write to" if writing else "read"
        return (
            f"The hub does not let you {action} {address} (HTTP {code}): log in with a token that "
            f"has the right to {action} it (`hf auth login`, or HF_TOKEN)."
        )
    if code == 429:
        return f"{address}: the hub asks to wait (HTTP 429): try again in a few minutes, logged in."
    if code >= 500:
        return f"{address}: the hub has a fault (HTTP {code}): try again later."
    said = f": {_one_line(error.server_message)}" if error.server_message else ""
    return f"{address}: the hub refuses (HTTP {code}){said}."


def _one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")[:300]


def _token(library: Any) -> str:
    return "your token may not read it" if library.get_token() else "you are not logged in"


def _unreachable(library: Any) -> tuple[type[Exception], ...]:
    """Errors which mean that the hub was not reached, or did not end its answer."""
    import httpx2  # What `huggingface_hub` 2 is built on.

    return (library.errors.OfflineModeIsEnabled, httpx2.RequestError, httpx2.InvalidURL)


def _offline(library: Any, address: str, error: BaseException) -> str:
    if library.constants.is_offline_mode():
        return f"{address} is not in the cache, and HF_HUB_OFFLINE is set: unset it, and try again."
    reason = _one_line(error) or type(error).__name__
    return (
        f"{address} is not in the cache, and {library.constants.ENDPOINT} cannot be reached or "
        f"broke off ({reason}): check the connection (and HF_ENDPOINT), and try again."
    )


def _from_cache(library: Any, address: HubAddress, error: Exception) -> str:
    """The path in the cache, as the hub cannot be reached or has a fault.

    Raises:
        Exception: `error`, if the cache does not have it or the hub refuses it.
    """
    answer = getattr(error, "response", None)
    if answer is not None and answer.status_code < 500:
        raise error
    try:
        folder = library.snapshot_download(
            address.repo, revision=address.revision or None, local_files_only=True
        )
    except library.errors.LocalEntryNotFoundError:
        raise error from None
    names = [
        os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
        for place, _, here in os.walk(folder)
        for name in here
    ]
    choice = choose_files(str(address), address.path, dict.fromkeys(names), "The cached copy of ")
    commit = files.base_name(folder)
    log.info(f"The hub cannot be reached: {address} is read from the cache, commit {commit[:8]}.")
    _check_configs(str(address), folder, choice)
    return os.path.join(folder, *choice.target.split("/"))


def _download(
    library: Any,
    address: HubAddress,
    commit: str,
    choice: Choice,
    listing: Mapping[str, RepositoryFile],
) -> str:
    """Downloads the chosen files, the small ones first, and returns the path of the first."""
    missing = [
        name
        for name in choice.names
        if not isinstance(library.try_to_load_from_cache(address.repo, name, revision=commit), str)
    ]
    _check_sizes(library, address, [listing[name].size for name in missing])
    # The branch is named once, so that the cache knows its commit when there is no connection.
    revisions = dict.fromkeys(choice.names, commit)
    by_size = sorted(choice.names, key=lambda name: listing[name].size)
    revisions[by_size[0]] = address.revision or "main"
    folder = ""
    for name in by_size:
        with watched(library, str(address)):
            path = library.hf_hub_download(
                address.repo,
                name,
                revision=revisions[name],
                tqdm_class=_bar_of(f"{address}: {name}", listing[name].size),
                library_name="efficientvision",
            )
        here = path.removesuffix(os.path.join("", *name.split("/"))).rstrip(os.sep)
        if files.base_name(here) != commit or folder not in ("", here):
            raise UserError(f"{address} changed while it was downloaded: try again.")
        folder = here
        if name in missing:
            _check_content(address, name, path, listing[name])
    log.info(f"{address} is at commit {commit[:8]}: {choice.target}")
    _check_configs(str(address), folder, choice)
    return os.path.join(folder, *choice.target.split("/"))


def _check_configs(address: str, folder: str, choice: Choice) -> None:
    """Refuses a stranger's configuration whose photos would fill the memory.

    The sizes of its network are compared with the weights when they are loaded.
    """
    for name in choice.names:
        if name.rpartition("/")[2] != "config.yaml":
            continue
        height, width = config_from_yaml(os.path.join(folder, *name.split("/"))).image_hw
        if max(height, width) > _MOST_PIXELS:
            raise UserError(
                f"{address} was not loaded: its config.yaml has image_size={width}x{height}, and "
                f"{_MOST_PIXELS} pixels are the most for a model from the hub."
            )


def _check_sizes(library: Any, address: HubAddress, sizes: Sequence[int]) -> None:
    """Refuses a download that is too large, and announces a large one."""
    total = sum(sizes)
    limit = _limit_gb()
    if total > limit * 1e9:
        raise UserError(
            f"{address} would download {shown_size(total)}, more than {limit:g} GB: if that is "
            f"right, set the environment variable {LIMIT_VARIABLE} to a larger number."
        )
    cache = library.constants.HF_HUB_CACHE
    nearest = os.path.abspath(cache)
    while not os.path.isdir(nearest) and os.path.dirname(nearest) != nearest:
        nearest = os.path.dirname(nearest)
    free = files.free_bytes(nearest)
    if free is not None and total > free:
        raise UserError(
            f"{address} would download {shown_size(total)}, but only {shown_size(free)} are free "
            f"in {cache}: free some space, or set HF_HOME to a folder on another disk."
        )
    if total >= _LARGE:
        count = f"{len(sizes)} file{'s' * (len(sizes) > 1)}"
        log.info(f"Downloading {count}, {shown_size(total)}, from {address} to {cache}.")


def _limit_gb() -> float:
    text = os.environ.get(LIMIT_VARIABLE) or str(_LIMIT_GB)
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{LIMIT_VARIABLE}={text} is not a number of gigabytes.") from error


def shown_size(count: int) -> str:
    """A number of bytes in the largest fitting unit: `62.3 MB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _bar_of(what: str, size: int) -> type[tqdm]:
    """A progress bar that ends a download which exceeds the size in the hub's list."""

    class Bar(tqdm):
        _received = 0

        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, **{**options, "desc": what.rpartition("/")[2]})

        def update(self, n: float = 1) -> bool | None:
            self._received += int(n)
            if self._received > size:
                raise UserError(
                    f"{what} is larger than the {size:,} bytes that the hub lists: the download "
                    "was stopped."
                )
            return super().update(n)

    return Bar


def _check_content(address: HubAddress, name: str, path: str, listed: RepositoryFile) -> None:
    """Compares a new file with the size and checksum in the hub's list; removes a wrong one."""
    size = os.path.getsize(path)
    digest = hashlib.sha256() if listed.sha256 else hashlib.sha1(usedforsecurity=False)
    if not listed.sha256:  # The name of a file in git.
        digest.update(f"blob {size}\0".encode())
    with open(path, "rb") as file:
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
    expected = listed.sha256 or listed.git_sha1
    if size == listed.size and digest.hexdigest() == (expected or digest.hexdigest()):
        return
    for stale in {os.path.realpath(path), path}:
        files.remove(stale)
    raise UserError(
        f"{address}: {name} is not the file that the hub lists (its checksum or size differs): it "
        "was removed from the cache; try again."
    )
