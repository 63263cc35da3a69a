"""The report in headless Chromium: what is really shown, on a desk and on a phone."""

import base64
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from efficientvision.report.build import build_report
from tests.report.made_run import MISTAKES, write_made_run

# Tells what the browser made of the page; a copy of it alone holds this.
_PROBE = """<script>
// Photos are loaded when they are scrolled to.
for (const image of document.images) image.loading = 'eager';
const tell = () => {
  if (![...document.images].every(image => image.complete)) return setTimeout(tell, 20);
  const box = document.querySelector('.zoom input');
  box.click();
  const {width, height} = box.nextElementSibling.getBoundingClientRect();
  box.click();
  const seen = {
    photos: [...document.images].filter(i => i.complete && i.naturalWidth > 0).length,
    images: document.images.length,
    plots: [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width),
    enlarged: [width, height],
    sections: document.querySelectorAll('section').length,
    width: document.documentElement.scrollWidth,
    window: innerWidth,
    requested: performance.getEntriesByType('resource').map(r => r.name.slice(0, 5)),
    ink: getComputedStyle(document.body).color,
    line: getComputedStyle(document.querySelector('svg text')).fill,
  };
  parent.postMessage(btoa(JSON.stringify(seen)), '*');
};
addEventListener('load', tell);
</script></body>"""
# A frame can be as narrow as a phone; a window of the browser cannot.
_FRAME = """<!DOCTYPE html><title>frame</title>
<iframe src="probed.html" style="width: WIDTHpx; height: 1400px; border: 0"></iframe>
<script>
addEventListener('message', event => {
  document.body.append(Object.assign(document.createElement('pre'),
    {id: 'seen', textContent: event.data}));
});
</script>"""


@pytest.fixture(scope="module")
def browser():
    """Runs Chromium on a page and returns what it prints."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium)")

    def run(path, *options):
        options = ["--window-size=1400,1400", "--virtual-time-budget=5000", *options]
        # Chromium's sandbox refuses to run as root.
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        command = [program, "--headless", "--disable-gpu", *options, path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"{program} does not run here: {done.stderr.strip()[-200:]}")
        return done.stdout

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = write_made_run(tmp_path_factory.mktemp("report"))
    build_report(folder)
    probed = folder / "probed.html"
    text = (folder / "report.html").read_text()
    assert text.count("</body>") == 1
    probed.write_text(text.replace("</body>", _PROBE))
    return probed


def _seen(browser, page, width, *options):
    """What the browser made of the page in a frame of that width."""
    frame = page.with_name("frame.html")
    frame.write_text(_FRAME.replace("WIDTH", str(width)))
    dom = browser(frame, "--dump-dom", *options)
    found = re.search(r'<pre id="seen">([^<]+)</pre>', dom)
    assert found, dom[-500:]
    return json.loads(base64.b64decode(found[1]))


@pytest.mark.parametrize("width", [1280, 390])
def test_all_of_it_is_shown_and_nothing_is_fetched(browser, page, width):
    seen = _seen(browser, page, width)
    assert seen["photos"] == seen["images"] == 2 * 8 + 4 + MISTAKES
    assert len(seen["plots"]) == 6 and min(seen["plots"]) > 250
    assert seen["enlarged"] == [seen["window"], 1400]
    assert seen["sections"] == 13 and seen["window"] == width
    assert set(seen["requested"]) <= {"data:"}
    assert seen["width"] <= seen["window"]  # Nothing makes the page wider than the window.


@pytest.mark.slow
def test_plots_follow_the_dark(browser, page):
    light = _seen(browser, page, 1280)
    dark = _seen(browser, page, 1280, "--force-dark-mode")
    assert light["ink"] == light["line"] != dark["ink"] == dark["line"]


@pytest.mark.slow
def test_a_screenshot_is_no_blank_page(browser, page, tmp_path):
    target = tmp_path / "page.png"
    browser(page, f"--screenshot={target}")
    pixels = np.asarray(Image.open(target).convert("RGB"), np.int16)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    blue = (pixels[..., 2] - pixels[..., 0]) > 120
    assert blue.mean() > 1e-4  # The first line of the plots.
