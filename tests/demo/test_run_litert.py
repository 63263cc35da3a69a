"""demo/run_litert.py: the interpreter alone, and the file's description, say what ours says."""

import contextlib
import io
import json
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.tasks.detection import agreement
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.filled_detector import textured_photo
from tests.small_networks import SEGMENTER_HW, portable_file, small_segmenter

pytest.importorskip("ai_edge_litert")

SCRIPT = pathlib.Path(__file__).parents[2] / "demo" / "run_litert.py"
_RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not any(name.startswith(("efficientvision", "keras")) for name in sys.modules)
"""


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(textured_photo(150, 200, 7)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def run(monkeypatch):
    """Runs the script; returns its lines."""

    def script(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return printed.getvalue().splitlines()

    return script


def test_it_needs_nothing_of_ours(photo, run):
    path = portable_file("classifier", "litert")
    command = [sys.executable, "-c", _RUN, str(SCRIPT), str(path), str(photo)]
    done = subprocess.run(command, cwd=photo.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == run(path, photo)


# Of a thousand pixels one is resized to the next grey level; with random weights and eight bits
# that is seen.
@pytest.mark.parametrize("name, tolerance", [("litert", 2e-3), ("litert_int8", 0.1)])
def test_a_classifiers_first_classes(name, tolerance, photo, run):
    path = portable_file("classifier", name)
    expected = Classifier.from_checkpoint(path).classify(photo, top_k=5)
    found = [line.split(maxsplit=1) for line in run(path, photo)]
    np.testing.assert_allclose(
        [float(probability) for probability, _ in found],
        [prediction.probability for prediction in expected],
        atol=tolerance,
    )
    assert found[0][1] == expected[0].name


@pytest.mark.parametrize("name, result", [("litert_int8", "class_map"), ("litert", "logits")])
def test_a_segmenters_class_map(name, result, run, tmp_path):
    photo = tmp_path / "photo.png"
    # Nothing to resize: the classes are equal.
    Image.fromarray(textured_photo(*SEGMENTER_HW, 7)).save(photo)
    path = portable_file("segmenter", name, result=result)
    segmenter = Segmenter.from_checkpoint(path)
    float_network = Segmenter.from_loaded(small_segmenter())
    expected = (float_network if result == "logits" else segmenter).predict(photo)
    assert len(np.unique(expected)) > 1
    lines = run(path, photo, f"--output_image={tmp_path}/map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "P" and (np.asarray(picture) != expected).mean() < 1e-3
        assert picture.getpalette()[3:6] == segmenter.metadata.palette[1]
    names = {line.split(maxsplit=1)[1] for line in lines}
    assert names == {segmenter.metadata.class_names[k] for k in np.unique(expected)}


@pytest.mark.parametrize("nms", ["offset", "none"])
@pytest.mark.parametrize("kind, least", [("detector", 0.6), ("ssd", 0.5)])
def test_a_detectors_boxes(kind, least, nms, photo, run):
    path = portable_file(kind, "litert", nms=nms)
    expected = Detector.from_checkpoint(path, min_score_thresh=least)(photo)
    assert len(expected.scores) > 10
    lines = [line.split(maxsplit=5) for line in run(path, photo, f"--min_score={least}")]
    names = sorted({*expected.names, *(line[5] for line in lines)})
    found = [(0, *map(float, line[1:5]), float(line[0]), names.index(line[5])) for line in lines]
    wanted = [
        (0, *box, score, names.index(name))
        for box, score, name in zip(
            expected.boxes_yxyx, expected.scores, expected.names, strict=True
        )
    ]
    # Of two nearly equal scores either may be the hundredth.
    same = agreement.compare(np.array(wanted), np.array(found), least + 0.01)
    assert same.unmatched + same.displaced <= 1
    assert same.box < 0.1 and same.score < 1e-3


def test_the_description_beside_the_file_is_the_one_inside():
    path = portable_file("detector", "litert", nms="none")
    beside = json.loads(path.with_name(f"{path.name}.json").read_text())
    inside = Detector.from_checkpoint(path).metadata
    assert json.loads(inside.to_json()) == beside
    contract = beside["contract"]
    anchors = sum(
        np.prod(level["cells_hw"]) * len(level["sizes_hw"])
        for level in contract["decoding"]["anchors"]["levels"]
    )
    assert [o["shape"][1] for o in contract["outputs"]] == [anchors, anchors]
