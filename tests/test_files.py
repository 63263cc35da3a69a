"""Local and remote files behave alike; `ram://` stands for the remote ones."""

import errno
import ntpath
import os
import types
import zipfile

import pytest

from efficientvision import files
from efficientvision.errors import UserError


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path):
    if request.param == "local":
        yield str(tmp_path)
        return
    files.make_folder(path := f"ram://{tmp_path.name}")
    yield path
    files.remove_folder(path)


def test_write_read_list_remove(folder):
    path = files.join(folder, "a", "b.txt")
    assert not files.exists(path)
    files.write_text(path, "grün\n")
    assert files.read_text(path) == "grün\n"
    assert files.read_bytes(path) == "grün\n".encode()
    assert (files.is_file(path), files.is_folder(path)) == (True, False)
    assert (files.is_file(files.parent(path)), files.is_folder(files.parent(path))) == (False, True)
    assert (files.size(path), files.base_name(path)) == (6, "b.txt")
    files.write_bytes(files.join(folder, "a", "a.txt"), b"")
    assert files.list_names(files.parent(path)) == ["a.txt", "b.txt"]
    assert files.matches(files.join(folder, "*", "?.txt")) == [
        files.join(folder, "a", name) for name in ("a.txt", "b.txt")
    ]
    files.remove(path)
    files.remove(path)
    assert files.list_names(files.parent(path)) == ["a.txt"]
    files.remove_folder(files.parent(path))
    files.remove_folder(files.parent(path))
    assert files.list_names(files.parent(path)) == []
    assert files.matches(files.join(folder, "none*")) == []


def test_failed_write_leaves_the_file_as_it_was(folder):
    path = files.join(folder, "a.txt")
    files.write_text(path, "before")
    with pytest.raises(ZeroDivisionError), files.writing(path) as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert files.read_text(path) == "before"
    assert files.list_names(folder) == ["a.txt"]


def test_zip_files_are_written_and_read_in_place(folder):
    path = files.join(folder, "a.zip")
    with files.writing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", "1" * 1000)
        archive.writestr("two", "2")
    with files.reading(path) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.read("two") == b"2"


def test_copies_within_and_between_stores(folder, tmp_path):
    path = files.join(folder, "a.txt")
    files.write_text(path, "text")
    for target in (files.join(folder, "b.txt"), str(tmp_path / "c.txt"), f"ram://{tmp_path.name}d"):
        files.copy(path, target)
        assert files.read_text(target) == "text"
    with files.local_copy(path) as local:
        assert os.path.isfile(local)
        with open(local, encoding="utf8") as file:
            assert file.read() == "text"


def test_folder_moves_whole(folder):
    source, target = files.join(folder, "new"), files.join(folder, "kept")
    for name in ("a.txt", "done.txt", "z.txt"):
        files.write_text(files.join(source, name), name)
    files.move_folder(source, target, last="done.txt")
    assert files.list_names(target) == ["a.txt", "done.txt", "z.txt"]
    assert files.read_text(files.join(target, "z.txt")) == "z.txt"
    assert not files.list_names(source)


def test_remote_errors_are_those_of_local_files(folder):
    with pytest.raises(FileNotFoundError) as caught:
        files.read_bytes(files.join(folder, "none.txt"))
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == files.join(folder, "none.txt")
    assert caught.value.strerror


def test_unknown_scheme_and_folded_slashes_are_said():
    with pytest.raises(UserError, match="martian://"):
        files.exists("martian://mars/a")
    with pytest.raises(UserError, match="lost a slash"):
        files.exists("gs:/bucket/a")


def test_free_space_is_known_of_local_folders_only(tmp_path):
    assert files.free_bytes(tmp_path) > 0
    assert files.free_bytes("ram://a") is None


def test_a_tilde_is_the_users_folder(tmp_path, monkeypatch):
    """As in `--model_dir=~/run`, which shells hand over as it is."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    files.write_text("~/run/a.txt", "text")
    assert os.listdir(tmp_path) == ["home"]
    assert (tmp_path / "home" / "run" / "a.txt").read_text() == "text"
    home = str(tmp_path / "home")
    assert files.as_text("~") == home and files.absolute("~/run") == f"{home}/run"
    assert files.join("~", "run", "a.txt") == f"{home}/run/a.txt"
    assert files.is_folder("~/run") and files.is_file("~/run/a.txt") and files.exists("~/run")
    assert files.list_names("~/run") == ["a.txt"] and files.size("~/run/a.txt") == 4
    assert files.read_text("~/run/a.txt") == "text"
    assert files.matches("~/run/*") == [f"{home}/run/a.txt"]
    files.copy_folder("~/run", "~/other")
    files.move("~/other/a.txt", "~/other/b.txt")
    files.remove("~/other/b.txt")
    files.remove_folder("~/other")
    assert files.list_names("~") == ["run"]
    files.write_text("~a.txt", "a plain name")
    assert files.list_names(".") == ["home", "~a.txt"]


@pytest.mark.parametrize("code", [errno.EFBIG, errno.ENOSPC, errno.EDQUOT])
def test_tensorflows_errors_keep_what_the_system_said(code):
    import tensorflow as tf

    text = f"/tmp/x.tmp; {os.strerror(code)} [Op:SaveV2]"
    with pytest.raises(OSError) as caught, files.tensorflow_errors("/disk"):
        raise tf.errors.InternalError(None, None, text)
    assert (caught.value.errno, caught.value.filename) == (code, "/disk")
    assert files.is_no_space(caught.value) == (code != errno.EFBIG)


def test_an_error_names_the_file_and_not_its_temporary_one(tmp_path):
    (tmp_path / "ckpt-9.npz").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_text(tmp_path / "ckpt-9.npz", "text")
    assert caught.value.filename == str(tmp_path / "ckpt-9.npz")
    assert files.list_names(tmp_path) == ["ckpt-9.npz"]


def test_folder_names(tmp_path):
    for name in ("b", "a.jpg"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    assert files.folder_names(tmp_path) == ["a.jpg", "b"]
    assert files.folder_names(tmp_path / "file") == files.folder_names(tmp_path / "none") == []


def test_paths_of_windows(monkeypatch):
    def relpath(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(files, "_SEPARATORS", "/\\")
    path = types.SimpleNamespace(**vars(ntpath))
    path.relpath, path.abspath = relpath, lambda path: path
    path.lexists = lambda path: path in ("D:", "D:\\", "D:\\set [v2]", "D:\\set [v2]\\")
    known = types.SimpleNamespace(path=path, sep="\\", fspath=os.fspath)
    monkeypatch.setattr(files, "os", known)
    for text in ("C:\\data\\cells\\", "C:\\data/cells/", "C:/data\\cells"):
        assert files.base_name(text) == "cells" and files.parent(text) in ("C:\\data", "C:/data")
    assert files.relative("D:\\a.jpg", "C:\\data") == "D:\\a.jpg"
    assert files._escaped("D:\\set [v2]\\val*") == "D:\\set [[]v2]\\val*"
