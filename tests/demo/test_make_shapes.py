"""The made data set is what the demo needs: varied, right, and the same every time."""

import collections
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from demo import make_shapes

IMAGE_HW = (240, 320)


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> dict:
    """A split of 40 images, as its JSON."""
    folder = tmp_path_factory.mktemp("shapes")
    path = make_shapes.write_split(str(folder), "train", 40, seed=3, image_hw=IMAGE_HW)
    return json.loads(path.read_text()) | {"folder": folder}


def test_at_least_four_classes_and_each_is_there(truth):
    counts = collections.Counter(a["category_id"] for a in truth["annotations"])
    assert len(truth["categories"]) >= 4
    assert set(counts) == {c["id"] for c in truth["categories"]}
    assert [c["id"] for c in truth["categories"]] == list(range(1, len(truth["categories"]) + 1))


def test_sizes_span_a_range_of_eight(truth):
    sizes = [max(a["bbox"][2:]) for a in truth["annotations"]]
    assert max(sizes) / min(sizes) >= 8


def test_some_images_are_empty_but_few(truth):
    full = {a["image_id"] for a in truth["annotations"]}
    empty = len(truth["images"]) - len(full)
    assert 1 <= empty <= 0.25 * len(truth["images"])


def test_some_shapes_are_occluded():
    """Seen area against the area of the shape alone, from the drawing of it."""
    covered = 0
    for i in range(30):
        scene = make_shapes.make_scene(np.random.default_rng([3, i]), IMAGE_HW)
        for k, box in enumerate(scene.boxes_yxyx.astype(int)):
            inside = scene.owner[box[0] : box[2], box[1] : box[3]]
            covered += (inside > k).any()
    assert covered >= 5


def test_files_are_there_and_of_the_size_said(truth):
    for entry in truth["images"][:10]:
        with Image.open(truth["folder"] / "train" / entry["file_name"]) as image:
            assert image.size == (entry["width"], entry["height"]) == IMAGE_HW[::-1]
    assert len(list((truth["folder"] / "train").iterdir())) == len(truth["images"])


def test_boxes_lie_inside_the_image(truth):
    for a in truth["annotations"]:
        x, y, width, height = a["bbox"]
        assert width > 0 and height > 0
        assert 0 <= x and 0 <= y and x + width <= IMAGE_HW[1] and y + height <= IMAGE_HW[0]


def test_annotation_ids_are_unique(truth):
    ids = [a["id"] for a in truth["annotations"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", make_shapes.MORE_CLASSES)
@pytest.mark.parametrize("size", [14, 120])
def test_longer_side_of_the_drawn_shape_is_its_size(name, size):
    shape = make_shapes.Shape(name, (120.0, 160.0), size, angle=0.7, stretch=1.1)
    image = np.zeros((*IMAGE_HW, 3), np.float32)
    make_shapes.paint(image, make_shapes.coverage(shape, IMAGE_HW), shape)
    rows, columns = np.nonzero(image.sum(-1) > 0)
    sides = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])
    assert abs(sides.max() - size) <= 2
    assert abs((rows.min() + rows.max()) / 2 - 120) <= 1
    assert abs((columns.min() + columns.max()) / 2 - 160) <= 1


def test_boxes_are_tight_around_what_was_painted():
    """From pixels: where a scene of one shape differs from its background alone."""
    checked = 0
    for i in range(30):
        scene = make_shapes.make_scene(np.random.default_rng([5, i]), IMAGE_HW)
        if len(scene.classes) != 1:
            continue
        background = make_shapes.make_background(np.random.default_rng([5, i]), IMAGE_HW)
        background = np.clip(np.rint(background), 0, 255)
        rows, columns = np.nonzero(np.abs(scene.image - background).max(-1) > 40)
        seen = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        np.testing.assert_allclose(scene.boxes_yxyx[0], seen, atol=2)
        checked += 1
    assert checked >= 3


def test_boxes_are_tight_around_what_is_visible_when_occluded():
    for i in range(20):
        scene = make_shapes.make_scene(np.random.default_rng([7, i]), IMAGE_HW)
        for k, box in enumerate(scene.boxes_yxyx):
            seen = Image.fromarray(np.uint8(scene.owner == k)).getbbox()
            assert (box[1], box[0], box[3], box[2]) == seen


def test_same_seed_same_files_other_seed_other_files(tmp_path):
    def files(folder: str, seed: int) -> dict[str, bytes]:
        root = tmp_path / folder
        make_shapes.write_split(str(root), "val", 5, seed=seed, image_hw=(96, 128))
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    first = files("a", 1)
    assert len(first) == 6
    assert first == files("b", 1)
    assert first == files("a", 1)  # Written over.
    assert first != files("c", 2)


@pytest.mark.parametrize("size", ["320", "axb", "20x20"])
def test_wrong_image_size_is_named(tmp_path, size):
    script = pathlib.Path(make_shapes.__file__)
    result = subprocess.run(
        [sys.executable, script, f"--output_dir={tmp_path}", f"--image_size={size}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert f"--image_size={size}" in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
