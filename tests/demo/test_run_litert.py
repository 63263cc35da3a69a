"""demo/run_litert.py: the interpreter alone, and the file's description, say what ours says."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from efficientvision.classifier import Classifier
from efficientvision.detector import Detector
from efficientvision.export import agreement
from efficientvision.export.artifacts import FORMATS
from efficientvision.export.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.segmenter import Segmenter
from tests.filled_classifier import filled_classifier
from tests.filled_detector import filled_detector, textured_photo
from tests.filled_segmenter import loaded_segmenter
from tests.filled_ssd import loaded_ssd

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


def write(loaded, path, name="litert", nms=None, **facts):
    metadata = dataclasses.replace(serving_metadata(loaded, batch_size=1), **facts)
    images = [
        np.float32(textured_photo(*loaded.config.image_hw, seed))[np.newaxis] for seed in range(8)
    ]
    calibration = images if name == "litert_int8" else ()
    write_portable(
        loaded.model, loaded.config, metadata, FORMATS[name], path, nms=nms, calibration=calibration
    )
    return path


def run(path, photo, *options):
    """Lines of the script, split at their first spaces."""
    command = [sys.executable, "-c", _RUN, str(SCRIPT), str(path), str(photo), *options]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


# Of a thousand pixels one is resized to the next grey level; with random weights and eight bits
# that is seen.
@pytest.mark.parametrize("name, tolerance", [("litert", 2e-3), ("litert_int8", 0.1)])
def test_a_classifiers_first_classes(name, tolerance, photo, tmp_path):
    path = write(filled_classifier(), tmp_path / "c.tflite", name)
    expected = Classifier.from_checkpoint(path).classify(photo, top_k=5)
    found = [line.split(maxsplit=1) for line in run(path, photo)]
    np.testing.assert_allclose(
        [float(probability) for probability, _ in found],
        [prediction.probability for prediction in expected],
        atol=tolerance,
    )
    assert found[0][1] == expected[0].name


@pytest.mark.parametrize("name, result", [("litert_int8", "class_map"), ("litert", "logits")])
def test_a_segmenters_class_map(name, result, tmp_path):
    loaded = loaded_segmenter()
    photo = tmp_path / "photo.png"
    height, width = loaded.config.image_hw  # Nothing to resize: the classes are equal.
    Image.fromarray(textured_photo(height, width, 7)).save(photo)
    path = write(loaded, tmp_path / "s.tflite", name, result=result)
    segmenter = Segmenter.from_checkpoint(path)
    float_network = Segmenter.from_loaded(loaded)
    expected = (float_network if result == "logits" else segmenter).predict(photo)
    assert len(np.unique(expected)) > 1
    lines = run(path, photo, f"--output_image={tmp_path}/map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "P" and (np.asarray(picture) != expected).mean() < 1e-3
        assert picture.getpalette()[3:6] == segmenter.metadata.palette[1]
    names = {line.split(maxsplit=1)[1] for line in lines}
    assert names == {segmenter.metadata.class_names[k] for k in np.unique(expected)}


@pytest.mark.parametrize("nms", ["offset", "none"])
@pytest.mark.parametrize(
    "make, least", [(filled_detector, 0.6), (loaded_ssd, 0.25)], ids=["efficientdet", "ssd"]
)
def test_a_detectors_boxes(make, least, nms, photo, tmp_path):
    path = write(make(), tmp_path / "d.tflite", nms=nms)
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


def test_the_description_beside_the_file_is_the_one_inside(tmp_path):
    path = write(filled_detector(), tmp_path / "d.tflite", nms="none")
    beside = json.loads((tmp_path / "d.tflite.json").read_text())
    inside = Detector.from_checkpoint(path).metadata
    assert json.loads(inside.to_json()) == beside
    contract = beside["contract"]
    anchors = sum(
        np.prod(level["cells_hw"]) * len(level["sizes_hw"])
        for level in contract["decoding"]["anchors"]["levels"]
    )
    assert [o["shape"][1] for o in contract["outputs"]] == [anchors, anchors]
