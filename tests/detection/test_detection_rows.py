import json
import pathlib

import numpy as np
import pytest

from efficientvision.configs import NmsConfig
from efficientvision.detection.anchors import generate_anchors
from efficientvision.detection.detection_rows import corners_to_xywh, generate_detections

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens"
CASES = json.loads((GOLDENS / "functions.json").read_text())["post"]["generate_detections"]
EXTRA = json.loads((GOLDENS / "post_extra.json").read_text())["cases"]
IMAGE_IDS = [42, 7]


def _rows(heads, arrays, nms, **options):
    names = ("method", "score_thresh", "max_nms_inputs")
    return generate_detections(
        *heads,
        arrays["post/image_scales"],
        IMAGE_IDS,
        anchors=generate_anchors(256),
        image_hw=(256, 256),
        num_classes=5,
        nms=NmsConfig(**{name: nms[name] for name in names if name in nms}),
        **options,
    )


@pytest.mark.parametrize("name", [name for name in CASES if name != "columns"])
def test_rows_are_the_originals(name, heads, arrays):
    case = CASES[name]
    rows = _rows(
        heads,
        arrays,
        case["nms"],
        mode="per_class" if case["per_class_nms"] else "global",
        flip=case["flip"],
        in_numpy=case["nms"]["pyfunc"],
    )
    np.testing.assert_allclose(rows, arrays[f"post/gen/{name}"], rtol=1e-5, atol=1e-4)
    transformed = arrays[f"post/gen/{name}_transformed"]
    np.testing.assert_allclose(corners_to_xywh(rows), transformed, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("method", ["hard", "gaussian"])
def test_padding_rows_in_numpy(method, heads, arrays, extra_arrays):
    name = f"gen_pyfunc_top20_{method}"
    rows = _rows(heads, arrays, EXTRA[name], in_numpy=True)
    np.testing.assert_allclose(rows, extra_arrays[name], rtol=1e-5, atol=1e-4)
