"""The made masks say of every pixel what the picture shows."""

import subprocess
import sys

import numpy as np
from PIL import Image

from tests.conftest import REPOSITORY


def test_masks_are_of_their_pictures(tmp_path):
    command = [sys.executable, "demo/make_masks.py", f"--output_dir={tmp_path}", "--num_images=6"]
    subprocess.run([*command, "--side=64"], cwd=REPOSITORY, check=True, capture_output=True)
    names = (tmp_path / "classes.txt").read_text().split()
    assert names[0] == "background" and len(names) == 6
    pairs = [
        (p, tmp_path / "labels/train" / f"{p.stem}.png") for p in sorted(tmp_path.rglob("*.jpg"))
    ]
    assert len(pairs) == 6
    shown = set()
    for photo, label in pairs:
        image, mask = Image.open(photo).convert("HSV"), np.asarray(Image.open(label))
        assert image.size == mask.shape[::-1] == (64, 64)
        shown |= set(np.unique(mask).tolist())
        # Shapes are more vivid than what is behind them.
        vivid = np.asarray(image)[..., 1].astype(float)
        if (mask > 0).any():
            assert vivid[mask > 0].mean() > 1.5 * vivid[mask == 0].mean()
    assert 0 in shown and len(shown) > 3
