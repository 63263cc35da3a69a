"""Annotations with fields of every kind: an answer or one sentence, never a traceback."""

import copy
import json
import pathlib
import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import coco_format, pascal
from efficientvision.errors import UserError
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.ground_truth_checks import id_findings

ODD = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**63, 10**30, "",
    " ", "1", "x", "1e999", "\0", "../a.png", "a.png", "\ud800", "é", [], {}, [[]], [1], [1, 2],
    [1, 2, 3, 4], [None] * 4, ["1", "2", "3", "4"], [[1, 2, 3, 4, 5, 6]], {"a": 1}, {"id": 1},
    {"size": [8, 9], "counts": [1, 2]}, {"size": [12, 16], "counts": "x"}, "a" * 5000, [[[1]]],
]  # fmt: skip
TRUTH = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 16, "height": 12},
        {"id": 2, "file_name": "b.png", "width": 16, "height": 12},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 5, 6], "area": 30.0,
         "iscrowd": 0, "segmentation": [[1, 2, 6, 2, 6, 8]]},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": [3, 2, 8, 6], "area": 48, "iscrowd": 1,
         "segmentation": {"size": [12, 16], "counts": [0, 40, 152]}},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}  # fmt: skip
XML = (
    "<annotation><filename>a.png</filename><size><width>16</width><height>12</height></size>"
    "<object><name>cat</name><difficult>0</difficult><truncated>0</truncated><bndbox>"
    "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
)
XML_VALUES = [
    "",
    "x",
    "-1",
    "1e999",
    "nan",
    "\u0663",
    "1" * 400,
    "&lt;",
    "<a/>",
    "true",
    "3.7",
    "0",
]


def places(value, path=()):
    """Paths of everything inside of a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inside:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, key))


def mutated(value, rng):
    """A copy with one to three of its parts replaced, removed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = list(places(value))
        if not found:
            break
        *above, key = rng.choice(found)
        parent = value
        for step in above:
            parent = parent[step]
        action = rng.random()
        if action < 0.7:
            parent[key] = copy.deepcopy(rng.choice(ODD))
        elif action < 0.85:
            del parent[key]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
    return value


def count_ends(call, cases):
    """How often a call was right, and how often it gave a sentence; anything else is raised."""
    ends = Counter()
    for case in cases:
        try:
            call(case)
            ends["done"] += 1
        except UserError as error:
            assert str(error).strip()
            ends["sentence"] += 1
        except Exception as error:
            raise AssertionError(f"{case!r}: {type(error).__name__}: {error}") from error
    return ends


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder, content):
    path = folder / "truth.json"
    path.write_bytes(json.dumps(content).encode("utf8", "surrogatepass"))
    return str(path)


@pytest.mark.parametrize(
    "count", [pytest.param(40, id="few"), pytest.param(600, id="many", marks=pytest.mark.slow)]
)
def test_coco_converter(folder, count):
    rng = random.Random(7)

    def convert(content):
        coco_format.convert(
            str(folder), str(folder / "set"), object_annotations_file=write(folder, content),
            include_masks=rng.random() < 0.5, skip_bad=rng.random() < 0.5, num_shards=1,
            num_workers=1,
        )  # fmt: skip

    tracemalloc.start()
    ends = count_ends(convert, (mutated(TRUTH, rng) for _ in range(count)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(ends["done"], ends["sentence"]) > count / 10, ends
    assert peak < 100e6


@pytest.mark.parametrize(
    "count", [pytest.param(40, id="few"), pytest.param(600, id="many", marks=pytest.mark.slow)]
)
def test_ground_truth_of_an_evaluation(folder, count):
    rng = random.Random(8)
    coco_format.convert(
        str(folder), str(folder / "set"), object_annotations_file=write(folder, TRUTH),
        num_shards=1, num_workers=1,
    )  # fmt: skip
    scan = scan_records(str(folder / "set*"))

    def evaluate(content):
        path = write(folder, content)
        evaluator = CocoEvaluator(path, {1: "cat", 2: "dog"}, backend="pycocotools")
        for finding in id_findings(scan, path):
            assert finding.found
        boxes = np.full((2, 1, 4), [2.0, 1.0, 8.0, 6.0])
        ones = np.ones((2, 1))
        evaluator.update(["1", "2"], boxes, ones, ones, np.ones(2, int))
        evaluator.compute()

    ends = count_ends(evaluate, (mutated(TRUTH, rng) for _ in range(count)))
    assert min(ends["done"], ends["sentence"]) > count / 10, ends


@pytest.mark.parametrize(
    "count", [pytest.param(40, id="few"), pytest.param(600, id="many", marks=pytest.mark.slow)]
)
def test_voc_converter(folder, count):
    rng = random.Random(9)

    def mutated_xml(_):
        text = XML
        for _ in range(rng.choice((1, 2, 3))):
            begin = rng.randrange(len(text))
            end = min(len(text), begin + rng.choice((0, 1, 3, 20)))
            # Between tags, so that most of it stays XML.
            opened, closed = text.find(">", begin), text.find("<", text.find(">", begin) + 1)
            if rng.random() < 0.7 and 0 <= opened < closed:
                text = text[: opened + 1] + rng.choice(XML_VALUES) + text[closed:]
            else:
                text = text[:begin] + rng.choice(XML_VALUES) + text[end:]
        return text

    def convert(text):
        (folder / "a.xml").write_text(text, encoding="utf8")
        pascal.convert(
            str(folder), ".", "train", str(folder / "out" / "set"), skip_bad=rng.random() < 0.5,
            ignore_difficult=rng.random() < 0.5, num_shards=1, num_workers=1,
        )  # fmt: skip

    ends = count_ends(convert, map(mutated_xml, range(count)))
    assert min(ends["done"], ends["sentence"]) > count / 10, ends


def test_texts_that_are_no_json(folder):
    whole = json.dumps(TRUTH).encode()
    rng = random.Random(10)
    texts = [
        b"",
        b"[" * 50_000,
        b'{"images": [], "categories": [], "annotations": "x"}',
        b"\xff\xfe",
    ]
    texts += [whole[: rng.randrange(len(whole))] for _ in range(20)]
    path = pathlib.Path(folder / "cut.json")

    def read(text):
        path.write_bytes(text)
        coco_format.convert(str(folder), str(folder / "set"), object_annotations_file=str(path))

    assert count_ends(read, texts) == {"sentence": len(texts)}
