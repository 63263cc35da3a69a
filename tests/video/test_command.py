"""--runmode=saved_model_video as it is typed, and what it says to bad input."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from efficientvision.cli import inspect_saved_model_video as command
from tests.filled_detector import NAMES, exported_folder, write_filled_checkpoint
from tests.programs import inspect
from tests.video.made_video import PHONE, Sound, read_video, write_video

MODEL = "--model_name=efficientdet-d0"


def video(*arguments):
    """Runs the program; returns its exit code."""
    return inspect("--runmode=saved_model_video", *arguments)


@pytest.fixture
def no_model(tmp_path):
    """What looks like an exported model, and must not be opened."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"not yet")
    return folder


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "input.mov", frames=10, sound=Sound(), display_matrix=PHONE)
    return tmp_path / "input.mov"


@pytest.mark.slow
def test_video_to_video(clip, tmp_path, capsys):
    out = tmp_path / "output.mov"
    code = video(
        MODEL, f"--saved_model_dir={exported_folder()}", f"--input_video={clip}",
        f"--output_video={out}",
    )  # fmt: skip
    assert code == 0
    before, after = read_video(clip), read_video(out)
    assert len(after.pictures) == 10 and after.rate == before.rate
    assert after.sound == before.sound and len(after.sound) > 10
    # Boxes were drawn into upright pictures.
    changed = np.abs(after.pictures[3].astype(int) - np.rot90(before.pictures[3], k=-1)) > 60
    assert 0.005 < changed.max(axis=-1).mean() < 0.95
    printed = capsys.readouterr()
    assert f"{out}: 96x128 with its sound" in printed.out
    assert re.search(r"^10 frames in [\d.]+ s: [\d.]+ frames/s$", printed.out, re.MULTILINE)
    assert re.search(r"^Objects in all frames: .*(ant|bee|cat) \d+", printed.out, re.MULTILINE)
    assert "\r" not in printed.err  # No progress bar into a pipe.


@pytest.mark.slow
def test_without_an_output_it_is_live_and_ends_with_the_video(clip, capsys, monkeypatch):
    pages = []

    def look(url):
        pages.append(urllib.request.urlopen(url, timeout=20).read())

    monkeypatch.setattr(command, "_open_window", look)
    code = video(f"--saved_model_dir={exported_folder()}", f"--input_video={clip}", "--live_port=0")
    assert code == 0 and b"stream.mjpg" in pages[0]
    printed = capsys.readouterr().out
    assert re.search(r"^Live at http://127\.0\.0\.1:(\d+)/ \(.*ssh -L \1:", printed, re.MULTILINE)
    assert "10 frames in" in printed


@pytest.mark.parametrize(
    ("platform", "environment", "opened"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a b c d"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "a b c d"}, False),
    ],
)
def test_a_window_opens_where_the_user_sits(monkeypatch, platform, environment, opened):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    urls = []
    monkeypatch.setattr(command.sys, "platform", platform)
    monkeypatch.setattr(command.webbrowser, "open", urls.append)
    command._open_window("http://127.0.0.1:8765/")
    assert bool(urls) == opened


def _text(path):
    path.write_text("no video\n" * 1000)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("arguments", "spoil", "says"),
    [
        (["--input_video={tmp}/none.mov"], None, "there is no video file '{tmp}/none.mov'"),
        (["--input_video={clip}"], _text, "'{clip}' is not a video"),
        (["--input_video={clip}"], _cut, "the video '{clip}' is truncated"),
        (["--input_video={clip}", "--output_video={tmp}/x.avi"], None, "must end in"),
        (["--input_video={clip}", "--output_video={clip}"], None, "is the input video"),
        (
            ["--input_video={clip}", "--output_video=/proc/none/x.mov"],
            None,
            "--output_video=/proc/none/x.mov cannot be written",
        ),
        (["--input_video={clip}", "--live_port=99999"], None, "--live_port=99999"),
        (["--input_video=rtsp://127.0.0.1:9/"], None, "cannot read video from rtsp://127.0.0.1:9/"),
    ],
)
def test_bad_input_gets_one_sentence_before_the_model(
    arguments, spoil, says, clip, no_model, tmp_path, capsys
):
    if spoil:
        spoil(clip)
    names = {"tmp": tmp_path, "clip": clip}
    before = sorted(p.name for p in tmp_path.iterdir())
    code = video(f"--saved_model_dir={no_model}", *(a.format(**names) for a in arguments))
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 1 and error.startswith("error: ") and says.format(**names) in error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_folder_that_may_not_be_written_is_told(clip, no_model, tmp_path, capsys):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o555)
    out = tmp_path / "locked" / "x.mov"
    assert video(f"--saved_model_dir={no_model}", f"--input_video={clip}", f"--output_video={out}")
    assert f"--output_video={out} cannot be written" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_leaves_no_file(clip, no_model, tmp_path, capsys):
    out = tmp_path / "out.mov"
    code = video(f"--saved_model_dir={no_model}", f"--input_video={clip}", f"--output_video={out}")
    assert code == 1 and "cannot be loaded" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.mov", "model"]


# As typed into a shell, with a checkpoint where no model was exported.


@pytest.mark.slow
@pytest.mark.published_depth
def test_ctrl_c_in_a_shell(repository, tmp_path):
    write_video(tmp_path / "input.mov", frames=2000, sound=Sound())
    checkpoint = write_filled_checkpoint(tmp_path / "run", shallow=True)
    process = subprocess.Popen(
        [
            sys.executable, "model_inspect.py", "--runmode=saved_model_video", MODEL,
            "--hparams=image_size=128,fpn_cell_repeats=1,box_class_repeats=1",
            f"--ckpt_path={checkpoint}", f"--saved_model_dir={tmp_path}/none",
            f"--input_video={tmp_path}/input.mov", f"--output_video={tmp_path}/output.mov",
            "--live_port=0", "--batch_size=2",
        ],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = iter(process.stdout.readline, "")
        url = next(m[0] for line in lines if (m := re.search(r"http://\S+/", line)))
        deadline = time.monotonic() + 120
        while (status := _status(url))["frames"] < 5:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        assert {entry["name"] for entry in status["classes"]} <= set(NAMES.values())
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    except OSError:  # Nobody answers any more: what the program said on its way tells why.
        _, errors = process.communicate(timeout=60)
        pytest.fail(f"the page is gone, exit code {process.returncode}: {errors[-3000:]}")
    finally:
        process.kill()
    assert process.returncode == 130, errors
    written = int(re.search(r"Interrupted after (\d+) frames", printed)[1])
    after = read_video(tmp_path / "output.mov")
    assert 5 <= written == len(after.pictures) < 2000 and after.sound
    assert not list(tmp_path.glob(".output*"))


def _status(url):
    with urllib.request.urlopen(f"{url}status.json", timeout=20) as answer:
        return json.load(answer)
