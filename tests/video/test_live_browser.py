"""The live page in headless Chromium: the video moves into it and the table fills."""

import os
import shutil
import subprocess
import threading
import types

import numpy as np
import pytest
from PIL import Image

from efficientvision.video.live_page import LivePage
from tests.video.made_video import numbered_picture


@pytest.mark.slow
def test_a_screenshot_shows_the_video_and_the_table(tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium)")
    target = tmp_path / "page.png"
    with LivePage("street.mov", port=0) as page:
        ended = threading.Event()

        def feed():
            number = 0
            while not ended.wait(0.05):
                picture = Image.fromarray(numbered_picture(number % 250, 240, 320))
                found = types.SimpleNamespace(names=["square"] * (1 + number % 3))
                page.show(None, picture, found)
                number += 1

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        command = [program, "--headless", "--disable-gpu", "--window-size=900,500"]
        # Chromium's sandbox refuses to run as root.
        command += ["--no-sandbox"] * (os.geteuid() == 0)
        command += [f"--screenshot={target}", page.url]
        # The picture may be taken before the stream's first frame is there.
        for patience in (3000, 10_000, 20_000):
            done = subprocess.run(
                [*command, f"--timeout={patience}"],
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"{program} does not run here: {done.stderr.strip()[-200:]}")
            pixels = np.asarray(Image.open(target).convert("RGB"), np.int16)
            red = (pixels[..., 0] - pixels[..., 1]) > 120
            if red.any():
                break
        ended.set()
        feeder.join()
    assert 500 < red.sum() < 3000  # The moving square: 30 x 30 pixels.
    rows, columns = np.nonzero(red)
    right = pixels[:, columns.max() + 200 :].min(axis=-1)
    assert (right < 128).sum() > 200  # The table's letters.
