"""The reference numbers of anchors, targets, losses and postprocessing."""

import json
import pathlib

import numpy as np
import pytest

from tests.data.conftest import encode_image as encode_image
from tests.data.conftest import make_records as make_records

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"


@pytest.fixture(scope="session")
def arrays():
    """Arrays of `functions.npz`, by name."""
    with np.load(GOLDENS / "functions.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def extra_arrays():
    """Arrays of `post_extra.npz`, by name."""
    with np.load(GOLDENS / "post_extra.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def cases():
    """Arguments and numbers of `functions.json`."""
    return json.loads((GOLDENS / "functions.json").read_text())


@pytest.fixture(scope="session")
def heads(arrays):
    """(class logits, box deltas) of two images at 256 px and 5 classes, levels 3..7."""
    levels = range(3, 8)
    return (
        [arrays[f"post/class_{level}"] for level in levels],
        [arrays[f"post/box_{level}"] for level in levels],
    )
