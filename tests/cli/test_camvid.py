"""`main.py --mode=eval` on EdgeNets' published segmentation networks and photos of CamVid."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.mask_records import MaskExample, encode_mask, encode_mask_example
from tests.conftest import REPOSITORY
from tests.made_class_records import write_class_records
from tests.made_mask_records import encoded
from tests.programs import train_program

CAMVID = json.loads((REPOSITORY / "tests/goldens/edgenets/camvid_zero_shot.json").read_text())


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("name", [name for name in CAMVID if name != "note"])
def test_published_networks_on_camvid(shared_dir, tmp_path, name):
    """The original's mIoU of all frames, computed with its own code."""
    weights = shared_dir / "weights/edgenets" / f"{name.partition('/')[0]}.pth"
    if not weights.is_file():
        pytest.skip(f"needs the weights {weights.name}")
    examples = []
    for photo in sorted((shared_dir / "data/camvid/images").iterdir()):
        mask = np.array(Image.open(shared_dir / "data/camvid/labels" / photo.name))
        image = np.asarray(Image.open(photo).convert("RGB"))
        height, width = mask.shape
        mask[mask == 11] = 255
        fields = (encoded(image), "png", photo.name, photo.stem, height, width, encode_mask(mask))
        examples.append(encode_mask_example(MaskExample(*fields)))
    write_class_records(tmp_path / "camvid.tfrecord", examples)
    classes = CAMVID["note"]["camvid_classes"][:11]
    (tmp_path / "labels.json").write_text(json.dumps(dict(enumerate(classes))))
    done = train_program(
        "--mode=eval",
        "--task=segmentation",
        f"--ckpt={weights}",
        f"--val_file_pattern={tmp_path}/camvid.tfrecord",
        f"--hparams={REPOSITORY}/hparams/camvid_from_cityscapes.yaml",
    )
    assert done.code == 0, done.stderr[-3000:]
    golden = CAMVID[name]
    assert float(re.search(r"miou +(\S+)", done.stdout)[1]) == pytest.approx(
        100 * golden["miou"], abs=0.1
    )
    for row, iou in zip(classes, golden["iou"], strict=True):
        assert float(re.search(rf"{row} +(\S+)", done.stdout)[1]) == pytest.approx(
            100 * iou, abs=0.5
        )
