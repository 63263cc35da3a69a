"""COCO sets: where boxes end up, what is counted, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import coco_format
from efficientvision.data.annotation_frame import LYING, SCALED
from efficientvision.data.photos import RECOVERED, TURNED
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.data.transforms.decode import decode_image
from efficientvision.errors import UserError

WIDTH, HEIGHT = 48, 64


@pytest.fixture
def coco(tmp_path):
    """convert(images, boxes, ...) of photos of which the pixels in a box are bright."""
    folder = tmp_path / "photos"
    folder.mkdir()

    def convert(boxes, stated=(WIDTH, HEIGHT), exif=None, names=None, entries=None, **options):
        images, annotations = [], []
        for number, box in enumerate(boxes, 1):
            name = names[number - 1] if names else f"{number}.jpg"
            pixels = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            pixels[10:40, 8:30] = 230
            image, tag = Image.fromarray(pixels), Image.Exif()
            if exif:
                image, tag[0x0112] = image.transpose(Image.Transpose.ROTATE_90), exif
            if not (folder / name).exists():
                image.save(folder / name.replace("\\", "/"), exif=tag, quality=95)
            images.append(
                {"id": number, "file_name": name, "width": stated[0], "height": stated[1]}
            )
            annotations.append(
                {"id": number, "image_id": number, "category_id": 1, "bbox": box, "iscrowd": 0}
                | (entries or {})
            )
        path = tmp_path / "truth.json"
        categories = [{"id": 1, "name": "cell"}]
        path.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
        return coco_format.convert(
            str(folder), str(tmp_path / "out" / "set"), object_annotations_file=str(path),
            num_shards=1, num_workers=1, **options,
        )  # fmt: skip

    return convert


def read(tmp_path, name="set"):
    pattern = match_files(str(tmp_path / "out" / f"{name}-*"))
    return [decode_example(r) for p in pattern for r in iter_records(p)]


@pytest.mark.parametrize(
    ("stated", "box", "exif", "note"),
    [
        ((WIDTH, HEIGHT), [8, 10, 22, 30], None, None),
        ((WIDTH, HEIGHT), [8, 10, 22, 30], 6, None),
        ((HEIGHT, WIDTH), [10, WIDTH - 30, 30, 22], 6, LYING),
        ((2 * WIDTH, 2 * HEIGHT), [16, 20, 44, 60], None, SCALED),
        ((2 * WIDTH, 2 * HEIGHT), [16, 20, 44, 60], 6, SCALED),
    ],
)
def test_boxes_lie_on_their_objects(coco, tmp_path, stated, box, exif, note):
    (report,) = coco([box], stated=stated, exif=exif, entries={"area": 7.0})
    (example,) = read(tmp_path)
    np.testing.assert_allclose(example.boxes_yxyx, [[10, 8, 40, 30]], atol=1e-3)
    pixels = decode_image(example.encoded).numpy()[..., 0]
    assert pixels.shape == (HEIGHT, WIDTH) == (example.height, example.width)
    assert pixels[12:38, 10:28].min() > 200 and pixels[42:].max() < 100
    assert report.skipped[TURNED] == (exif is not None)
    assert set(report.skipped) - {TURNED} == ({note} if note else set())
    assert example.areas == [pytest.approx(7 / 4 if note == SCALED else 7)]


def test_boxes_over_the_edge_are_cut(coco, tmp_path):
    boxes = [[-5, 10, 15, 20], [40, 50, 8.0000001, 14], [47.5, 3, 20, 20], [100, 3, 5, 5]]
    (report,) = coco(boxes)
    found = read(tmp_path)
    np.testing.assert_allclose(found[0].boxes_yxyx, [[10, 0, 30, 10]], atol=1e-4)
    np.testing.assert_allclose(found[1].boxes_yxyx, [[50, 40, 64, 48]], atol=1e-4)
    assert [len(example.classes) for example in found] == [1, 1, 0, 0]
    assert found[0].areas == [200]
    assert report.skipped == {coco_format.CUT: 1, coco_format.OUTSIDE: 2}


def test_a_share_is_held_out(coco, tmp_path):
    reports = coco([[8, 10, 22, 30]] * 5, val_fraction=0.2, split_seed=3)
    assert [report.num_images for report in reports] == [4, 1]
    ids = [[e.source_id for e in read(tmp_path, name)] for name in ("set_train", "set_val")]
    assert sorted(ids[0] + ids[1]) == list("12345")
    again = coco([[8, 10, 22, 30]] * 5, val_fraction=0.2, split_seed=3)
    assert [r.num_images for r in again] == [4, 1]
    assert [e.source_id for e in read(tmp_path, "set_val")] == ids[1]
    with pytest.raises(UserError, match="val_fraction must be between"):
        coco([[8, 10, 22, 30]], val_fraction=1.0)


def test_only_crowds_are_said(coco):
    (report,) = coco([[8, 10, 22, 30]] * 2, entries={"iscrowd": 1})
    assert "all objects are crowds" in str(report)


def test_paths_that_lead_out_need_a_flag(coco, tmp_path):
    (tmp_path / "outside.jpg").write_bytes(b"")
    for name in ("../outside.jpg", str(tmp_path / "outside.jpg")):
        with pytest.raises(UserError, match="leads out of the image folder. `allow_outside`"):
            coco([[8, 10, 22, 30]], names=[name])
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "outside.jpg")
    (report,) = coco([[8, 10, 22, 30]], names=["../outside.jpg"], allow_outside=True)
    assert report.num_images == 1


def test_names_with_backslashes(coco, tmp_path):
    (tmp_path / "photos" / "sub").mkdir()
    (report,) = coco([[8, 10, 22, 30]], names=["sub\\a.jpg"])
    assert report.num_images == 1


def test_spoilt_photos_are_all_listed(coco, tmp_path):
    folder = tmp_path / "photos"
    coco([[8, 10, 22, 30]] * 4)
    whole = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(whole[:-2])  # Only the end mark.
    (folder / "2.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "3.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError) as error:
        coco([[8, 10, 22, 30]] * 4)
    assert "2 of 4 images cannot be used" in error.value.sentence
    assert ["2.jpg" in error.value.lines[0], "3.jpg" in error.value.lines[1]] == [True, True]
    (report,) = coco([[8, 10, 22, 30]] * 4, skip_bad=True)
    assert report.num_images == 2 and report.skipped[RECOVERED] == 1
    assert "damaged and recovered" in str(report) and "2 images left out" in str(report)
