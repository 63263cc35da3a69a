"""A folder is converted once; changes, broken-off conversions and other processes are noticed."""

import errno
import logging
import os
import threading

import platformdirs
import pytest

from efficientvision.data.conversion import ConversionReport
from efficientvision.data.sources import cache, entry_locks
from efficientvision.data.sources.layout import CLASSES, ConvertOptions, Layout
from efficientvision.errors import UserError


class Converter:
    """Stands for a converter: counts its calls and writes a file."""

    def __init__(self, folder, *, is_split=False):
        self.folder, self.is_split, self.calls = folder, is_split, []

    def layout(self, version=1):
        photos = sorted(str(path) for path in self.folder.glob("*.jpg"))
        return Layout(
            format="folders",
            labels=CLASSES,
            evidence="",
            inputs=photos,
            is_split=self.is_split,
            version=version,
            convert=self.convert,
        )

    def convert(self, output_dir, options):
        self.calls.append(options)
        path = os.path.join(output_dir, "train-00000-of-00001.tfrecord")
        with open(path, "w") as file:
            file.write("records")
        return [ConversionReport([path], ["labels.json"], {1: "a"}, 3, 3, unit="labels")]

    def records(self, version=1, cache_folder=None, **options):
        chosen = ConvertOptions(**options)
        return cache.cached_records(self.layout(version), str(self.folder), chosen, cache_folder)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.jpg").write_text("photo")
    return folder


@pytest.fixture
def users(tmp_path, monkeypatch):
    """The user's cache folder."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "efficientvision" / "data"


def test_the_second_start_converts_nothing(data, caplog):
    caplog.set_level(logging.INFO)
    converter = Converter(data)
    first = converter.records()
    assert first.is_new and first.parts == {"train": cache.Part(3, 3)}
    assert os.path.dirname(first.folder) == str(data / ".efficientvision")
    # The report names the files where they are now.
    assert f"{first.folder}/train-00000" in caplog.text
    assert f"{first.folder}/train-00000" in open(f"{first.folder}/report.txt").read()
    second = converter.records(num_workers=3)
    assert not second.is_new and second.folder == first.folder
    assert len(converter.calls) == 1
    # A folder that moves takes its records along.
    data.rename(data.with_name("moved"))
    converter.folder = data.with_name("moved")
    assert not converter.records().is_new


def test_options_that_do_not_apply_to_split_data_change_nothing(data):
    converter = Converter(data, is_split=True)
    converter.records()
    assert not converter.records(val_fraction=0.3, seed=5).is_new
    unsplit = Converter(data)
    assert unsplit.records(val_fraction=0.3).is_new and unsplit.records(seed=5).is_new


def test_leaving_out_what_is_bad_takes_a_conversion_without_anything_bad(data):
    converter = Converter(data)
    converter.records()
    assert not converter.records(skip_bad=True).is_new
    (data / "9.jpg").write_text("damaged")
    assert converter.records(skip_bad=True).is_new and converter.records().is_new


@pytest.mark.parametrize("change", ["time", "size", "new", "gone", "version"])
def test_changed_data_are_converted_and_outdated_records_removed(data, change, caplog):
    caplog.set_level(logging.INFO)
    converter = Converter(data)
    before = converter.records().folder
    version = 1
    if change == "time":
        os.utime(data / "1.jpg", (1, 1))
    elif change == "size":
        (data / "1.jpg").write_text("another photo")
    elif change == "new":
        (data / "9.jpg").write_text("photo")
    elif change == "gone":
        (data / "1.jpg").unlink()
    else:
        version = 2
    after = converter.records(version)
    assert after.is_new and not os.path.exists(before)
    assert f"Removed the outdated records {os.path.basename(before)}" in caplog.text


def test_records_that_are_read_stay(data, monkeypatch):
    converter = Converter(data)
    before = converter.records().folder
    monkeypatch.setattr(cache, "is_held_elsewhere", lambda path: True)
    (data / "9.jpg").write_text("photo")
    converter.records()
    assert os.path.exists(before)


def test_a_process_holds_what_it_reads(data):
    path = str(data / "1.jpg")
    with open(path, "rb") as other:
        entry_locks.fcntl.flock(other, entry_locks.fcntl.LOCK_SH)
        assert entry_locks.is_held_elsewhere(path)
    entry_locks.hold(path)
    assert not entry_locks.is_held_elsewhere(path)


def test_records_by_other_options_are_bounded(data):
    converter = Converter(data)
    for seed in range(7):
        converter.records(seed=seed)
    made = [name for name in os.listdir(data / ".efficientvision") if name[0] != "."]
    assert len(made) == 4


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.tmp"), "space, or .*`data_cache`"),
        (UserError("a photo is damaged"), "damaged"),
        (KeyboardInterrupt("interrupted"), "interrupted"),
    ],
)
def test_a_conversion_that_fails_leaves_nothing(data, error, says):
    def fail(output_dir, options):
        converter.convert(output_dir, options)
        raise error

    converter = Converter(data)
    converter.layout = lambda version: Layout(
        format="folders",
        labels=CLASSES,
        evidence="",
        inputs=[],
        is_split=False,
        version=1,
        convert=fail,
    )
    kind = UserError if isinstance(error, OSError) else type(error)
    with pytest.raises(kind, match=says):
        converter.records()
    assert not (data / ".efficientvision").exists()


def test_what_a_killed_conversion_left_is_removed(data):
    converter = Converter(data)
    made = converter.records().folder
    unfinished = data / ".efficientvision" / f"{cache._hidden_prefix('.')}-1-1"
    os.rename(made, unfinished)
    (data / ".efficientvision" / ".other-1-1").mkdir()
    assert converter.records().is_new
    # It may go on, on another machine that does not see the lock.
    assert unfinished.exists()
    for path in (unfinished, *unfinished.iterdir()):
        os.utime(path, (1, 1))
    assert converter.records(seed=1).is_new
    assert not unfinished.exists() and (data / ".efficientvision" / ".other-1-1").exists()
    # So are records of which a file is missing.
    os.remove(f"{made}/train-00000-of-00001.tfrecord")
    assert converter.records().is_new


def test_a_folder_that_cannot_be_written_to(data, users, caplog):
    caplog.set_level(logging.INFO)
    (data / ".efficientvision").write_text("")
    converter = Converter(data)
    made = converter.records()
    assert os.path.dirname(made.folder) == str(users)
    assert f"{data} cannot be written to: the records of {data} are kept in {users}" in caplog.text
    assert not converter.records().is_new
    with pytest.raises(UserError, match="`data_cache=.*/1.jpg` cannot be written to"):
        converter.records(cache_folder=str(data / "1.jpg"))
    assert converter.records(cache_folder=str(data / "here")).folder.startswith(f"{data}/here/")


def test_of_two_processes_one_converts(data, caplog):
    """Threads stand for processes: each opens the lock for itself."""
    caplog.set_level(logging.INFO)
    converter, started, go_on = Converter(data), threading.Event(), threading.Event()
    plain = converter.convert

    def slowly(output_dir, options):
        started.set()
        go_on.wait(10)
        return plain(output_dir, options)

    converter.convert = slowly
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(converter.records())) for _ in range(2)
    ]
    threads[0].start()
    started.wait(10)
    threads[1].start()
    while "Another process converts" not in caplog.text and threads[1].is_alive():
        threads[1].join(0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(made.is_new for made in results) == [False, True]
    assert len(converter.calls) == 1


def test_complete_records_of_another_machine_stay(data, tmp_path):
    """Its conversion began and ended while ours went on."""
    converter = Converter(data)
    plain = converter.convert

    def overtaken(output_dir, options):
        converter.convert = plain
        other = converter.records(cache_folder=str(tmp_path / "other")).folder
        os.rename(other, data / ".efficientvision" / os.path.basename(other))
        return plain(output_dir, options)

    converter.convert = overtaken
    made = converter.records().folder
    facts = open(os.path.join(made, cache.FACTS_NAME)).read()
    assert f'"source": "{data}"' in facts
    assert [n for n in os.listdir(data / ".efficientvision") if n[0] != "."] == [
        os.path.basename(made)
    ]
