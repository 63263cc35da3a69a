"""Files and folders by path, on this machine or remote (`gs://...`, `ram://...`).

The one place that asks where a path leads. A path with a scheme goes through `tf.io.gfile`, any
other through Python itself: work on local files needs no TensorFlow. Paths are text, since
`pathlib` folds the two slashes of a scheme. Whatever fails raises `OSError` (`FileNotFoundError`
and its like), for remote paths too.

Files are written under a temporary name and renamed when they are whole. Where a store has no
rename, copying and deleting stand for it; the copy appears whole or not at all there.
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
_FOLDED_SCHEME = re.compile(r"(gs|s3|ram|hdfs|viewfs):/[^/]")
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
_ARCHIVE = b"PK\x03\x04"
_WIDE_BYTES = 1 << 12
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What TensorFlow has no code for, and says in the system's words.
_SAID_CODES = (errno.EFBIG, *_NO_SPACE)


def as_text(path: AnyPath) -> str:
    """A path as text; `~` is the user's folder, for shells leave it as it is in `--flag=~/a`.

    Raises:
        UserError: `pathlib` has made `gs:/bucket` of `gs://bucket`.
    """
    text = os.fspath(path)
    if _FOLDED_SCHEME.match(text):
        raise UserError(
            f"{text} has lost a slash, as pathlib.Path does it: give remote paths as text."
        )
    # A bare `~a.jpg` is the name of a file.
    return os.path.expanduser(text) if text == "~" or text[:1] == "~" and "/" in text else text


def is_remote(path: AnyPath) -> bool:
    """Whether a path has a scheme, such as `gs://`."""
    return _SCHEME.match(as_text(path)) is not None


def join(folder: AnyPath, *names: str) -> str:
    """A path inside a folder."""
    return os.path.join(as_text(folder), *names)


def base_name(path: AnyPath) -> str:
    """The last component of a path."""
    return os.path.basename(as_text(path).rstrip("/"))


def parent(path: AnyPath) -> str:
    """The folder that a path stands in; `""` where the path is a bare name."""
    return os.path.dirname(as_text(path).rstrip("/"))


def absolute(path: AnyPath) -> str:
    """The path from the root; a remote one is that already."""
    return as_text(path) if is_remote(path) else os.path.abspath(as_text(path))


def exists(path: AnyPath) -> bool:
    """Whether there is a file or folder."""
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
    """Names of what is in a folder, sorted; none if there is no such folder."""
    try:
        with _remote_errors(folder) as gfile:
            names = gfile.listdir(as_text(folder)) if gfile else os.listdir(as_text(folder))
    except FileNotFoundError:
        return []
    return sorted(name.rstrip("/") for name in names)


def matches(pattern: AnyPath) -> list[str]:
    """The files and folders that a glob pattern (or a plain path) stands for, sorted.

    Local folders and files that are called as the pattern is written (`set [v2]`) are meant.
    """
    with _remote_errors(pattern) as gfile:
        if gfile is None:
            return sorted(local_glob.glob(_escaped(as_text(pattern))))
        return sorted(name for name in gfile.glob(as_text(pattern)) if not name.endswith("/"))


def _escaped(pattern: str) -> str:
    """The pattern, with those of its leading folders that exist as they are written escaped."""
    if not local_glob.has_magic(pattern):
        return pattern
    literal = ""
    pieces = re.split(r"(/+)", pattern)
    for place, piece in enumerate(pieces):
        if literal + piece and not os.path.lexists(literal + piece):
            return local_glob.escape(literal) + "".join(pieces[place:])
        literal += piece
    return local_glob.escape(literal)


def size(path: AnyPath) -> int:
    """Bytes of a file."""
    with _remote_errors(path) as gfile:
        return int(gfile.stat(as_text(path)).length) if gfile else os.path.getsize(as_text(path))


def modified(path: AnyPath) -> float:
    """When a file was last written, seconds since the epoch; 0 where the store does not say."""
    with _remote_errors(path) as gfile:
        return (
            gfile.stat(as_text(path)).mtime_nsec / 1e9 if gfile else os.path.getmtime(as_text(path))
        )


def is_no_space(error: OSError) -> bool:
    """Whether an error says that a disk or a quota is full."""
    return error.errno in _NO_SPACE


def free_bytes(folder: AnyPath) -> int | None:
    """Free space of the disk that a folder is on; None for a remote folder."""
    return None if is_remote(folder) else shutil.disk_usage(as_text(folder) or ".").free


def make_folder(path: AnyPath) -> None:
    """Makes a folder and those above it, where they are missing."""
    with _remote_errors(path) as gfile:
        gfile.makedirs(as_text(path)) if gfile else os.makedirs(as_text(path), exist_ok=True)


@contextlib.contextmanager
def reading(path: AnyPath) -> Iterator[BinaryIO]:
    """Opens a file to read its bytes; it can be read in any order."""
    with _remote_errors(path) as gfile:
        with gfile.GFile(as_text(path), "rb") if gfile else open(as_text(path), "rb") as file:
            yield file


def read_bytes(path: AnyPath) -> bytes:
    """The content of a file."""
    with reading(path) as file:
        return file.read()


def read_text(path: AnyPath) -> str:
    """The content of a text file: UTF-8, with or without the mark that Windows puts before it.

    Raises:
        UserError: it is in another encoding.
    """
    content = read_bytes(path)
    if content.startswith(_ARCHIVE):
        raise UserError(
            f"{as_text(path)} is no text, but an archive or a document of an office program, such "
            "as .xlsx: save a table as CSV (UTF-8)."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = _wide_kind(content) or f"no UTF-8 text (byte {error.start})"
        raise UserError(f"{as_text(path)} is {kind}: save it as UTF-8.") from error
    if "\0" in text:  # As every other byte of UTF-16 without a mark.
        kind = _wide_kind(content) or "no UTF-8 text (it has bytes of zero)"
        raise UserError(f"{as_text(path)} is {kind}: save it as UTF-8.")
    return text


def _wide_kind(content: bytes) -> str | None:
    """What a text of 16 or 32 bits a character is, by its mark or its zeros; None: it is none."""
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
    """A path that programs which know only local files can read.

    A local file itself; of a remote one a temporary copy, which is gone after the block.
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
    """Opens a file to write its bytes: in the end all of it is there, or the file as it was.

    An error inside the block leaves nothing behind; one of the disk names the file. The folder is
    made where it is missing.
    """
    folder, name = parent(path), base_name(path)
    if folder:
        make_folder(folder)
    temporary = join(folder, f".{name}.{os.getpid()}.{time.time_ns()}.tmp")
    try:
        if is_remote(path):
            # Stores take a file in one go, front to back; zip files want to seek.
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
        # The user knows nothing of the temporary name.
        if error.errno and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror, as_text(path)) from error
        raise
    finally:
        remove(temporary)


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with writing(path) as file:
        file.write(content)


def write_text(path: AnyPath, text: str) -> None:
    """Writes a text file (UTF-8) whole or not at all."""
    write_bytes(path, text.encode("utf8"))


def remove(path: AnyPath) -> None:
    """Removes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError), _remote_errors(path) as gfile:
        gfile.remove(as_text(path)) if gfile else os.remove(as_text(path))


def remove_folder(path: AnyPath) -> None:
    """Removes a folder and all that is in it, if it is there."""
    with contextlib.suppress(FileNotFoundError), _remote_errors(path) as gfile:
        gfile.rmtree(as_text(path)) if gfile else shutil.rmtree(as_text(path))


def move(source: AnyPath, target: AnyPath) -> None:
    """Renames a file; one of that name is replaced. Both are local, or of one store."""
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
    """Copies a folder and all that is in it; either may be remote."""
    make_folder(target)
    for name in list_names(source):
        path = join(source, name)
        copy_one = copy_folder if is_folder(path) else copy
        copy_one(path, join(target, name))


def move_folder(source: AnyPath, target: AnyPath, *, last: str) -> None:
    """Moves a folder of files to a name that nothing has.

    Args:
        source: The folder; it holds no folders.
        target: Its new path.
        last: The file that says that the folder is whole. Stores have no folders to rename: there
            the files are copied one by one, this one last, and it is the first to be removed.
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
        written.write(b"")  # Without a first write there is no file.
        while chunk := file.read(_CHUNK_BYTES):
            written.write(chunk)


@contextlib.contextmanager
def _remote_errors(path: AnyPath) -> Iterator[Any]:
    """Gives `tf.io.gfile` for a remote path, None for a local one; translates its errors."""
    if not is_remote(path):
        yield None
        return
    with tensorflow_errors(path):
        import tensorflow as tf

        yield tf.io.gfile


@contextlib.contextmanager
def tensorflow_errors(path: AnyPath) -> Iterator[None]:
    """Makes of TensorFlow's errors about a file the `OSError` that Python would raise."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        scheme = as_text(path).partition("://")[0]
        if error.error_code == _UNIMPLEMENTED:
            raise UserError(
                f"TensorFlow cannot open {as_text(path)}: it knows no {scheme}:// here. Install "
                "the tensorflow-io plugin for it, or copy the files to a local folder."
            ) from error
        reason = " ".join(error.message.split()) or type(error).__name__
        code = _ERRNO_BY_CODE.get(error.error_code, errno.EIO)
        code = next((said for said in _SAID_CODES if os.strerror(said) in reason), code)
        if code in _SAID_CODES:
            reason = os.strerror(code)
        raise OSError(code, reason, as_text(path)) from error
