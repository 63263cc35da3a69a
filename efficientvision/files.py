"""Local and remote (`gs://...`, `ram://...`) files and folders.

All file access goes through this module. Paths with a scheme use `tf.io.gfile`, others plain
Python, so that local files do not need TensorFlow. Paths are text, because `pathlib` collapses the
two slashes of a scheme. Failures raise `OSError` or its subclasses, for remote paths too.

Files are written under a temporary name and renamed when complete. Stores without rename copy and
delete instead; there the copy appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import glob as local_glob
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from efficientvision.errors import UserError

AnyPath = str | os.PathLike[str]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")
_FOLDED_SCHEME = re.compile(r"(gs|s3|ram|hdfs|viewfs|hf):/[^/]")
_CHUNK_BYTES = 1 << 24
# Codes of absl::Status.
_ERRNO_BY_CODE = {
    5: errno.ENOENT,
    6: errno.EEXIST,
    7: errno.EACCES,
    8: errno.ENOSPC,
    16: errno.EACCES,
}
_UNIMPLEMENTED = 12
_SEPARATORS = f"/{os.sep}"  # Windows has both.
_ARCHIVE = b"PK\x03\x04"
_WIDE_BYTES = 1 << 12
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Errors without a TensorFlow code, recognised by the system's message.
_SAID_CODES = (errno.EFBIG, *_NO_SPACE)


def as_text(path: AnyPath) -> str:
    """Returns a path as text, with `~` expanded, because shells do not in `name=~/a`.

    Raises:
        UserError: `pathlib` has turned `gs://bucket` into `gs:/bucket`.
    """
    text = os.fspath(path)
    if _FOLDED_SCHEME.match(text):
        raise UserError(
            f"{text} has lost a slash, probably to pathlib.Path: pass remote paths as strings."
        )
    # A bare `~a.jpg` is a file name.
    return os.path.expanduser(text) if text == "~" or os.path.dirname(text) else text


def is_remote(path: AnyPath) -> bool:
    """Whether a path has a scheme, such as `gs://`."""
    return _SCHEME.match(as_text(path)) is not None


def join(folder: AnyPath, *names: str) -> str:
    """Joins a folder and names to a path."""
    return os.path.join(as_text(folder), *names)


def base_name(path: AnyPath) -> str:
    """The last component of a path."""
    return os.path.basename(as_text(path).rstrip(_SEPARATORS))


def parent(path: AnyPath) -> str:
    """The parent folder of a path; `""` for a bare name."""
    return os.path.dirname(as_text(path).rstrip(_SEPARATORS))


def absolute(path: AnyPath) -> str:
    """The absolute path; remote paths are unchanged."""
    return as_text(path) if is_remote(path) else os.path.abspath(as_text(path))


def relative(path: AnyPath, folder: AnyPath) -> str:
    """The path from a folder to a local path; the absolute path if it is on another drive."""
    try:
        return os.path.relpath(as_text(path), as_text(folder) or ".")
    except ValueError:  # Of Windows.
        return absolute(path)


def exists(path: AnyPath) -> bool:
    """Whether a file or folder exists."""
    with _remote_errors(path) as gfile:
        return gfile.exists(as_text(path)) if gfile else os.path.exists(as_text(path))


def is_folder(path: AnyPath) -> bool:
    """Whether the path is a folder."""
    with _remote_errors(path) as gfile:
        return gfile.isdir(as_text(path)) if gfile else os.path.isdir(as_text(path))


def is_file(path: AnyPath) -> bool:
    """Whether the path is a file."""
    with _remote_errors(path) as gfile:
        if gfile is None:
            return os.path.isfile(as_text(path))
        return gfile.exists(as_text(path)) and not gfile.isdir(as_text(path))


def list_names(folder: AnyPath) -> list[str]:
    """Names in a folder, sorted; empty if the folder does not exist."""
    try:
        with _remote_errors(folder) as gfile:
            names = gfile.listdir(as_text(folder)) if gfile else os.listdir(as_text(folder))
    except FileNotFoundError:
        return []
    return sorted(name.rstrip("/") for name in names)


def folder_names(folder: AnyPath) -> list[str]:
    """Names of the folders in a folder, sorted; empty if the folder does not exist.

    Much faster than `is_folder` for each name in a local folder of many files.
    """
    if is_remote(folder):
        return [name for name in list_names(folder) if is_folder(join(folder, name))]
    try:
        with os.scandir(as_text(folder)) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def matches(pattern: AnyPath) -> list[str]:
    """The files and folders that match a glob pattern (or a plain path), sorted.

    Names of existing local files and folders that look like patterns (`set [v2]`) are literal.
    """
    with _remote_errors(pattern) as gfile:
        if gfile is None:
            return sorted(local_glob.glob(_escaped(as_text(pattern))))
        return sorted(name for name in gfile.glob(as_text(pattern)) if not name.endswith("/"))


def _escaped(pattern: str) -> str:
    """Escapes the leading folders of a pattern that exist literally."""
    if not local_glob.has_magic(pattern):
        return pattern
    literal = ""
    pieces = re.split(f"([{re.escape(_SEPARATORS)}]+)", pattern)
    for place, piece in enumerate(pieces):
        if literal + piece and not os.path.lexists(literal + piece):
            return local_glob.escape(literal) + "".join(pieces[place:])
        literal += piece
    return local_glob.escape(literal)


def size(path: AnyPath) -> int:
    """Size of a file in bytes."""
    with _remote_errors(path) as gfile:
        return int(gfile.stat(as_text(path)).length) if gfile else os.path.getsize(as_text(path))


def modified(path: AnyPath) -> float:
    """Time of last modification, seconds since the epoch; 0 if the store does not record it."""
    with _remote_errors(path) as gfile:
        return (
            gfile.stat(as_text(path)).mtime_nsec / 1e9 if gfile else os.path.getmtime(as_text(path))
        )


def is_no_space(error: OSError) -> bool:
    """Whether an error means that a disk or a quota is full."""
    return error.errno in _NO_SPACE


def free_bytes(folder: AnyPath) -> int | None:
    """Free bytes on a folder's disk; None for a remote folder."""
    return None if is_remote(folder) else shutil.disk_usage(as_text(folder) or ".").free


def make_folder(path: AnyPath) -> None:
    """Creates a folder and its missing parents."""
    with _remote_errors(path) as gfile:
        gfile.makedirs(as_text(path)) if gfile else os.makedirs(as_text(path), exist_ok=True)


@contextlib.contextmanager
def reading(path: AnyPath) -> Iterator[BinaryIO]:
    """Opens a seekable file for reading bytes."""
    with _remote_errors(path) as gfile:
        with gfile.GFile(as_text(path), "rb") if gfile else open(as_text(path), "rb") as file:
            yield file


def read_bytes(path: AnyPath) -> bytes:
    """Reads a file."""
    with reading(path) as file:
        return file.read()


def read_text(path: AnyPath) -> str:
    """Reads a text file in UTF-8, with or without a byte order mark.

    Raises:
        UserError: the file has another encoding.
    """
    content = read_bytes(path)
    if content.startswith(_ARCHIVE):
        raise UserError(
            f"{as_text(path)} is not text, but an archive or an office document such as .xlsx: "
            "save a table as CSV (UTF-8)."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = _wide_kind(content) or f"not UTF-8 text (byte {error.start})"
        raise UserError(f"{as_text(path)} is {kind}: save it as UTF-8.") from error
    if "\0" in text:  # Like every other byte of UTF-16 without a mark.
        kind = _wide_kind(content) or "not UTF-8 text (it contains zero bytes)"
        raise UserError(f"{as_text(path)} is {kind}: save it as UTF-8.")
    return text


def _wide_kind(content: bytes) -> str | None:
    """Recognises UTF-16 and UTF-32 by their byte order mark or zeros; None: neither."""
    start = content[:_WIDE_BYTES]
    zeros = [start[place::4].count(0) for place in range(4)]
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32 text"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text"
    quarter = max(1, len(start) // 4)
    if sum(count > 0.9 * quarter for count in zeros) == 3:
        return "UTF-32 text"
    return "UTF-16 text" if sum(zeros) > 0.3 * len(start) else None


@contextlib.contextmanager
def local_copy(path: AnyPath) -> Iterator[str]:
    """Yields a local path for libraries that cannot read remote files.

    A local file is used directly; a remote one is copied to a temporary file for the block.
    """
    if not is_remote(path):
        yield as_text(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, base_name(path))
        copy(path, target)
        yield target


@contextlib.contextmanager
def writing(path: AnyPath) -> Iterator[BinaryIO]:
    """Opens a file for atomic writing: afterwards it is complete, or unchanged after an error.

    Missing folders are created. Disk errors name the file.
    """
    folder, name = parent(path), base_name(path)
    if folder:
        make_folder(folder)
    temporary = join(folder, f".{name}.{os.getpid()}.{time.time_ns()}.tmp")
    try:
        if is_remote(path):
            # Stores are written sequentially, but zip files need to seek.
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                _send(file, temporary)
        else:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        move(temporary, path)
    except OSError as error:
        # The user does not know the temporary name.
        if error.errno and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror, as_text(path)) from error
        raise
    finally:
        remove(temporary)


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Writes a file atomically."""
    with writing(path) as file:
        file.write(content)


def write_text(path: AnyPath, text: str) -> None:
    """Writes a text file (UTF-8) atomically."""
    write_bytes(path, text.encode("utf8"))


def remove(path: AnyPath) -> None:
    """Removes a file if it exists."""
    with contextlib.suppress(FileNotFoundError), _remote_errors(path) as gfile:
        gfile.remove(as_text(path)) if gfile else os.remove(as_text(path))


def remove_folder(path: AnyPath) -> None:
    """Removes a folder and its content if it exists."""
    with contextlib.suppress(FileNotFoundError), _remote_errors(path) as gfile:
        gfile.rmtree(as_text(path)) if gfile else shutil.rmtree(as_text(path))


def move(source: AnyPath, target: AnyPath) -> None:
    """Renames a file, replacing an existing one. Both are local, or in one store."""
    with _remote_errors(target) as gfile:
        if gfile is None:
            os.replace(as_text(source), as_text(target))
        else:
            gfile.rename(as_text(source), as_text(target), overwrite=True)


def copy(source: AnyPath, target: AnyPath) -> None:
    """Copies a file; either may be remote."""
    with reading(source) as file:
        if is_remote(target):
            _send(file, target)
        else:
            with open(as_text(target), "wb") as written:
                shutil.copyfileobj(file, written, _CHUNK_BYTES)


def copy_folder(source: AnyPath, target: AnyPath) -> None:
    """Copies a folder and its content; either may be remote."""
    make_folder(target)
    for name in list_names(source):
        path = join(source, name)
        copy_one = copy_folder if is_folder(path) else copy
        copy_one(path, join(target, name))


def move_folder(source: AnyPath, target: AnyPath, *, last: str) -> None:
    """Moves a folder of files to a new path that does not exist.

    Args:
        source: The folder; it must not contain folders.
        target: The new path.
        last: The file that marks the folder as complete. Stores cannot rename folders: there the
            files are copied one by one, this one last, and it is removed first.
    """
    if not is_remote(target):
        os.replace(as_text(source), as_text(target))
        return
    make_folder(target)
    for name in sorted(list_names(source), key=lambda name: name == last):
        copy(join(source, name), join(target, name))
    remove(join(source, last))
    remove_folder(source)


def _send(file: BinaryIO, target: AnyPath) -> None:
    with _remote_errors(target) as gfile, gfile.GFile(as_text(target), "wb") as written:
        written.write(b"")  # An empty file needs a first write to exist.
        while chunk := file.read(_CHUNK_BYTES):
            written.write(chunk)


@contextlib.contextmanager
def _remote_errors(path: AnyPath) -> Iterator[Any]:
    """Yields `tf.io.gfile` for a remote path, None for a local one; translates its errors."""
    if not is_remote(path):
        yield None
        return
    with tensorflow_errors(path):
        import tensorflow as tf

        yield tf.io.gfile


@contextlib.contextmanager
def tensorflow_errors(path: AnyPath) -> Iterator[None]:
    """Turns TensorFlow's errors about a file into the `OSError` that Python would raise."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        scheme = as_text(path).partition("://")[0]
        if error.error_code == _UNIMPLEMENTED:
            raise UserError(
                f"TensorFlow cannot open {as_text(path)}: it has no support for {scheme}:// here. "
                "Install the tensorflow-io plugin for it, or copy the files to a local folder."
            ) from error
        reason = " ".join(error.message.split()) or type(error).__name__
        code = _ERRNO_BY_CODE.get(error.error_code, errno.EIO)
        code = next((said for said in _SAID_CODES if os.strerror(said) in reason), code)
        if code in _SAID_CODES:
            reason = os.strerror(code)
        raise OSError(code, reason, as_text(path)) from error
