"""VOC folders as tools leave them: turned and resized photos, odd lists, odd fields."""

import json

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import pascal, pascal_files
from efficientvision.data.annotation_frame import LYING, SCALED, UNSTATED
from efficientvision.data.photos import TURNED
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.data.transforms.decode import decode_image
from efficientvision.errors import UserError

BOX = (5, 8, 25, 30)  # xmin, ymin, xmax, ymax


def read(prefix):
    return [decode_example(r) for p in match_files(f"{prefix}-*") for r in iter_records(p)]


def convert(folder, output, **options):
    options = {"num_shards": 1, "num_workers": 1, **options}
    return pascal.convert(folder[0], folder[1], "train", str(output), **options)


def bright_box(folder, stem, *, size_wh, exif=None):
    """Draws a photo, upright, whose box is bright; stores it as a camera with that tag does."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 60, np.uint8)
    xmin, ymin, xmax, ymax = BOX
    pixels[ymin:ymax, xmin:xmax] = 230
    image = Image.fromarray(pixels)
    path = f"{folder[0]}/{folder[1]}/JPEGImages/{stem}.jpg"
    tag = Image.Exif()
    if exif == 6:
        image, tag[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
    elif exif == 3:
        image, tag[0x0112] = image.transpose(Image.Transpose.ROTATE_180), 3
    image.save(path, exif=tag, quality=95)


def brightness(example):
    """Of the pixels inside of the box and outside, as training decodes the record."""
    pixels = decode_image(example.encoded).numpy()[..., 0].astype(float)
    assert pixels.shape == (example.height, example.width)
    inside = np.zeros(pixels.shape, bool)
    for ymin, xmin, ymax, xmax in np.round(example.boxes_yxyx).astype(int):
        inside[ymin:ymax, xmin:xmax] = True
    return pixels[inside].mean(), pixels[~inside].mean()


@pytest.mark.parametrize("exif", [None, 3, 6])
@pytest.mark.parametrize("drawn_on", ["upright", "lying"])
def test_boxes_lie_on_their_objects(voc_folder, tmp_path, exif, drawn_on):
    upright_wh = (48, 64)
    box, stated = BOX, upright_wh
    if drawn_on == "lying" and exif == 6:
        # Turned a quarter to the left: x becomes y, and y counts from the other end.
        xmin, ymin, xmax, ymax = BOX
        box, stated = (ymin, 48 - xmax, ymax, 48 - xmin), (64, 48)
    voc_folder[2]("a", [("dog", box)], size=upright_wh, stated=stated)
    bright_box(voc_folder, "a", size_wh=upright_wh, exif=exif)
    (report,) = convert(voc_folder, tmp_path / "p")
    (example,) = read(tmp_path / "p")
    inside, outside = brightness(example)
    assert inside > 200 and outside < 90
    np.testing.assert_allclose(example.boxes_yxyx, [[8, 5, 30, 25]], atol=1e-3)
    assert report.skipped[TURNED] == (exif is not None)
    assert report.skipped[LYING] == (drawn_on == "lying" and exif == 6)
    truth = json.load(open(tmp_path / "json_p.json"))
    assert truth["annotations"][0]["bbox"] == pytest.approx([5, 8, 20, 22])
    assert (truth["images"][0]["height"], truth["images"][0]["width"]) == (64, 48)


def test_boxes_scale_with_a_photo_that_was_made_smaller(voc_folder, tmp_path):
    scaled = tuple(4 * side for side in BOX)
    voc_folder[2]("a", [("dog", scaled)], size=(48, 64), stated=(192, 256))
    voc_folder[2]("b", [("dog", BOX)], size=(48, 64), stated=(0, 0))
    for stem in "ab":
        bright_box(voc_folder, stem, size_wh=(48, 64))
    (report,) = convert(voc_folder, tmp_path / "p")
    for example in read(tmp_path / "p"):
        np.testing.assert_allclose(example.boxes_yxyx, [[8, 5, 30, 25]], atol=1e-3)
    assert (report.skipped[SCALED], report.skipped[UNSTATED]) == (1, 1)


def test_another_shape_stops_or_is_left_out(voc_folder, tmp_path):
    voc_folder[2]("a", [("dog", BOX)], size=(48, 64), stated=(300, 64))
    voc_folder[2]("b", [("dog", BOX)], size=(48, 64))
    with pytest.raises(UserError, match=r"a\.jpg.*another shape"):
        convert(voc_folder, tmp_path / "p")
    (report,) = convert(voc_folder, tmp_path / "p", skip_bad=True)
    assert report.num_images == 1 and "1 images left out" in str(report)
    assert "left out: the annotation of" in str(report) and "a.jpg" in str(report)
    (example,) = read(tmp_path / "p")
    assert example.source_id == "2"  # Ids are places in the list, whatever is left out.


@pytest.mark.parametrize(
    ("text", "difficult"),
    [("Unspecified", 0), ("", 0), ("true", 1), ("1", 1), ("0", 0), ("nan", 0), ("yes", 1)],
)
def test_flags_of_every_kind(voc_folder, tmp_path, text, difficult):
    voc_folder[2]("a", [("dog", BOX)])
    path = f"{voc_folder[0]}/{voc_folder[1]}/Annotations/a.xml"
    content = open(path).read()
    for tag in ("difficult", "truncated"):
        content = content.replace(f"<{tag}>0<", f"<{tag}>{text}<").replace(
            f"<{tag}>1<", f"<{tag}>{text}<"
        )
    open(path, "w").write(content)
    convert(voc_folder, tmp_path / "p")
    (example,) = read(tmp_path / "p")
    assert (example.difficult, example.truncated) == ([difficult], [difficult])


def test_names_with_spaces_and_class_lists(voc_folder, tmp_path):
    data_dir, year, add = voc_folder
    for stem in ("cat (1)", "cat 1", "dog"):
        add(stem, [("dog", (1, 1, 9, 9))], set_file="all.txt")
    root = f"{data_dir}/{year}"
    lists = f"{root}/ImageSets/Main"
    open(f"{lists}/cat_val.txt", "w").write("cat (1)  1\r\ncat 1\ndog -1\n\ncat 1  0\n")
    names = pascal_files.read_image_list(root, "val")
    assert names == ["cat (1)", "cat 1", "dog"]


def test_a_folder_as_labelimg_leaves_it(voc_folder, tmp_path):
    data_dir, year, add = voc_folder
    for stem in "abcde":
        add(stem, [("cell", (1, 1, 9, 9))], suffix=".png")
    flat = tmp_path / "flat"
    flat.mkdir()
    import shutil

    for part in ("Annotations", "JPEGImages"):
        shutil.copytree(f"{data_dir}/{year}/{part}", flat, dirs_exist_ok=True)
    (flat / "._a.xml").write_bytes(b"\0")
    reports = pascal.convert(
        str(flat), "VOC2007", "train", str(tmp_path / "out" / "train"),
        val_fraction=0.4, num_shards=1, num_workers=1,
    )  # fmt: skip
    assert [report.num_images for report in reports] == [3, 2]
    train, val = read(tmp_path / "out" / "train"), read(tmp_path / "out" / "val")
    ids = [example.source_id for example in train + val]
    assert sorted(ids) == list("12345")
    truth = json.load(open(tmp_path / "out" / "json_val.json"))
    assert [str(image["id"]) for image in truth["images"]] == [e.source_id for e in val]
