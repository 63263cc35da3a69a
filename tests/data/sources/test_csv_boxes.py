"""CSV files of boxes -> records: the orders of columns, photos, classes, parts."""

import json
import os

import numpy as np
import pytest

from efficientvision.data.annotation_frame import LYING
from efficientvision.data.sources import csv_boxes
from efficientvision.data.sources.boxed_photos import EMPTY, NOT_FINITE, REPEATED, WITHOUT_LABELS
from efficientvision.data.sources.csv_columns import read_columns
from efficientvision.data.sources.layout import BOXES, ConvertOptions
from efficientvision.errors import UserError
from tests.data.sources.made_photos import photo, records, text

WHOLE = ConvertOptions(num_workers=1, val_fraction=0)
BOX = [[4, 10, 14, 30]]  # ymin, xmin, ymax, xmax of a photo of 40 x 20 pixels.


def write(folder, options=WHOLE):
    layout = csv_boxes.find(str(folder))
    out = (folder if os.path.isdir(folder) else folder.parent) / "out"
    return layout, layout.convert(str(out), options)


def boxes(folder, part="train"):
    return {e.filename: np.round(e.boxes_yxyx, 3).tolist() for e in records(folder / "out", part)}


ORDERS = {
    "path,xmin,ymin,xmax,ymax,class\na.png,10,4,30,14,ant\n": BOX,
    "\ufeffImage;Y_Min;X_Min;Y_Max;X_Max;Label\r\na.png;4;10;14;30;ant\r\n": BOX,
    "filename\tname\tx1\ty1\tx2\ty2\na.png\tant\t10\t4\t30\t14\n": BOX,
    "sep=;\nfile;left;top;right;bottom;category\na.png;10;4;30;14;ant\n": BOX,
    "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,20,ant,10,4,30,14\n": BOX,
    "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,80,40,ant,20,8,60,28\n": BOX,
    "a.png,10,4,30,14,ant\n": BOX,
    "images/a.png,10.0,4.0,30.0,14.0,ant\nb.png,,,,,\n": BOX,
    "image_id,x,y,w,h,class_id\na.png,10,4,20,10,ant\n": BOX,
    "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
    "ant,10,4,20,10,a.png,40,20\n": BOX,
    "ant,10,4,20,10,a.png,40,20\n": BOX,
    "image,left,top,width,height,label\na.png,10,4,20,10,ant\n": BOX,
    "image,x_center,y_center,width,height,label\na.png,0.5,0.45,0.5,0.5,ant\n": BOX,
    "image,label,xmin,ymin,xmax,ymax\na.png,ant,0.25,0.2,0.75,0.7\n": BOX,
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
    "a,xclick,ant,1,0.25,0.75,0.2,0.7,-1,0\n": BOX,
    "TRAIN,gs://bucket/a.png,ant,0.25,0.2,,,0.75,0.7,,\n": BOX,
    "UNASSIGNED,gs://b/a.png,ant,0.25,0.2,0.75,0.2,0.75,0.7,0.25,0.7\n": BOX,
    "set,path,label,x_min,y_min,x_max,y_min,x_max,y_max,x_min,y_max\n"
    "TRAIN,a.png,ant,0.25,0.2,,,0.75,0.7,,\n": BOX,
}


@pytest.mark.parametrize("content", ORDERS)
def test_orders_of_columns(tmp_path, content):
    photo(tmp_path / "images/a.png")
    photo(tmp_path / "images/b.png")
    text(tmp_path / "boxes.csv", content)
    layout, (report,) = write(tmp_path)
    assert (layout.format, layout.labels, layout.is_split) == ("csv", BOXES, False)
    assert layout.evidence == "boxes.csv" and len(layout.inputs) == 3
    assert report.labels == {1: "ant"}
    found = boxes(tmp_path)
    assert found.pop("images/a.png") == ORDERS[content]
    assert found == ({"images/b.png": []} if "b.png" in content else {})
    assert (WITHOUT_LABELS in report.skipped) == (not found)
    unit = "fractions of the photo" if "0.7" in content or "0.45" in content else "pixels"
    assert f"coordinates are {unit}" in str(report)


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.png,ant\n",
        "a.png,ant\n",
        "name,id\nant,0\n",
        "path,ant,bee\na.png,0,1\n",
        "ImageID,Source,LabelName,Confidence\na,verification,ant,1\n",
        "",
        "a.png,1,2,3,4\n",
        "x,y,w\n1,2,3\n",
        "image,width,height,label\na.png,40,20,ant\n",
        "\x00\x01",
        '"open',
    ],
)
def test_files_of_other_kinds(tmp_path, content):
    path = text(tmp_path / "a.csv", content)
    assert read_columns(path) is None and csv_boxes.find(str(tmp_path)) is None
    with pytest.raises(UserError, match="has no CSV file of boxes"):
        csv_boxes.convert(str(tmp_path), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("path,xmin,ymin,xmax,ymax\na.png,1,2,3,4\n", "none for the class: name that column class"),
        ("xmin,ymin,xmax,ymax,class\n1,2,3,4,ant\n", "none for the photo: name that column path"),
        ("path,xmin,ymin,xmax,ymax,class\n", "lists no photos"),
        ("path,xmin,ymin,xmax,ymax,class\n,1,2,3,4,ant\n", "line 2 names no photo"),
        (
            "path,xmin,ymin,xmax,ymax,class\na,b.png,1,2,3,4,ant\n",
            "line 2: expected 6 fields, got 7",
        ),
        ("path,xmin,ymin,xmax,ymax,class\na.png,1,two,3,4,ant\n", "line 2: the side .* got 'two'"),
        ("path,xmin,ymin,xmax,ymax,class\na.png,1,2,3,4,\n", "line 2: the box has no class"),
        ("path,xmin,ymin,xmax,ymax,class\na.png,1,,3,4,ant\n", "line 2: the box lacks a side"),
        ("path,xmin,ymin,xmax,ymax,class\na.png,,,,,ant\n", "the class 'ant' has no box"),
        ("path,xmin,ymin,xmax,ymax,class\na.png,,,,,\n", "nothing to learn"),
        ("path,xmin,ymin,xmax,ymax,class\nz.png,1,2,3,4,ant\n", "None of the 1 photos"),
        (
            "path,xmin,ymin,xmax,ymax,class\n"
            "y.png,1,2,3,4,ant\nz.png,1,2,3,4,ant\na.png,1,2,3,4,ant\n",
            r"names 2 photos that do not exist \(of 3\)",
        ),
        (
            "path,width,height,xmin,ymin,xmax,ymax,class\na.png,10,20,1,2,3,4,ant\n",
            "for 10 x 20 pixels, but the photo has 40 x 20",
        ),
        (
            "path,xmin,ymin,xmax,ymax,class,split\na.png,1,2,3,4,ant,dusk\n",
            "part 'dusk' is not train, val or test",
        ),
        (
            "path,xmin,ymin,xmax,ymax,class,split\na.png,1,2,3,4,ant,test\na.png,1,2,3,5,ant,train\n",
            "the photo is in two parts, test and train",
        ),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, content, says):
    photo(tmp_path / "a.png")
    text(tmp_path / "boxes.csv", content)
    with pytest.raises(UserError, match=says):
        write(tmp_path)


def test_rows_that_are_left_out(tmp_path):
    photo(tmp_path / "a.png")
    text(
        tmp_path / "boxes.csv",
        "path,xmin,ymin,xmax,ymax,class,difficult,note\na.png,1,2,30,14,ant,1,x\n"
        "a.png,1,2,30,14,ant,0,y\n./a.png,30,2,1,14,ant,0,\na.png,nan,2,1,14,ant,0,\n"
        "a.png,30,4,50,14,'bee, wild',yes\n",
    )
    os.rename(tmp_path / "boxes.csv", tmp_path / "b.csv")
    content = (tmp_path / "b.csv").read_text().replace("'bee, wild'", '"bee, wild"')
    text(tmp_path / "b.csv", content)
    layout, (report,) = write(tmp_path / "b.csv")
    assert layout.evidence == "b.csv"
    assert (report.skipped[REPEATED], report.skipped[EMPTY], report.skipped[NOT_FINITE]) == (
        1,
        1,
        1,
    )
    assert "not used: note" in str(report) and "1 boxes clipped" in str(report)
    (example,) = records(tmp_path / "out", "train")
    assert example.difficult == [1, 1] and example.class_names == ["ant", "bee, wild"]
    truth = json.loads((tmp_path / "out/json_train.json").read_text())
    assert [a["difficult"] for a in truth["annotations"]] == [1, 1]


def test_classes_of_a_file(tmp_path):
    """RetinaNet's `classes.csv`, which counts from 0."""
    for name in ("a", "b"):
        photo(tmp_path / f"{name}.png")
    text(tmp_path / "train.csv", "a.png,1,2,3,4,bee\nb.png,,,,,\n")
    text(tmp_path / "val.csv", "b.png,1,2,3,4,ant\n")
    text(tmp_path / "classes.csv", "bee,0\nant,2\n")
    layout, (train, _) = write(tmp_path)
    assert train.labels == {1: "bee", 3: "ant"} and layout.is_split
    assert "WARNING: 1 of 1 photos for val are also photos for train" in str(train)
    assert str(tmp_path / "classes.csv") in layout.inputs
    text(tmp_path / "classes.csv", "bee,0\n")
    with pytest.raises(UserError, match="has the class 'ant', which the file of classes does not"):
        write(tmp_path)
    for content, says in (
        ("bee,0\nbee,1\n", "occurs twice"),
        ("bee,0\nant\n", "line 2: expected name,id"),
        ("bee,99999\n", "at most 10,000"),
        ("name,id\n", "names no classes"),
    ):
        text(tmp_path / "classes.csv", content)
        with pytest.raises(UserError, match=says):
            write(tmp_path)


def test_classes_that_are_numbers(tmp_path):
    photo(tmp_path / "a.png")
    rows = "".join(f"a.png,1,2,3,{k + 4},{k}\n" for k in (10, 2, 0))
    text(tmp_path / "boxes.csv", f"path,xmin,ymin,xmax,ymax,label\n{rows}")
    assert write(tmp_path)[1][0].labels == {1: "0", 2: "2", 3: "10"}


def test_open_images(tmp_path):
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n"
    for part in ("train", "validation"):
        photo(tmp_path / part / "0a.png")
        rows = "0a,x,/m/0b,1,0.25,0.75,0.2,0.7,1\n0a,x,/m/0c,1,0,1,0,1,0\n"
        text(
            tmp_path / f"oidv6-{part}-annotations-bbox.csv", f"{head}{rows}99,x,/m/0b,1,0,1,0,1,0\n"
        )
    text(tmp_path / "class-descriptions-boxable.csv", '/m/0b,"Bee, wild"\n/m/0z,Zebra\n')
    _, (train, val) = write(tmp_path)
    assert train.labels == {1: "/m/0c", 2: "Bee, wild"} == val.labels
    assert train.skipped[csv_boxes.NOT_HERE] == 2 and train.skipped[csv_boxes.GROUPS] == 2
    (example,) = records(tmp_path / "out", "train")
    assert example.is_crowd == [1, 0] and example.filename == "train/0a.png"
    assert boxes(tmp_path, "val") == {"validation/0a.png": [*BOX, [0, 0, 20, 40]]}


def test_a_column_of_parts(tmp_path):
    for name in "abcd":
        photo(tmp_path / f"{name}.png")
    text(
        tmp_path / "boxes.csv",
        "TRAIN,gs://x/a.png,ant,0.1,0.1,,,0.5,0.5,,\nVALIDATE,gs://x/b.png,ant,0.1,0.1,,,0.5,0.5,,\n"
        "TEST,gs://x/c.png,,,,,,,,,\nUNASSIGNED,gs://x/d.png,ant,0.1,0.1,,,0.5,0.5\n",
    )
    layout, reports = write(tmp_path)
    assert layout.is_split and [report.num_images for report in reports] == [2, 1, 1]
    assert "1 photos without a part in the list, taken as train" in str(reports[0])
    assert "4 photos found by the last part of their listed path" in str(reports[0])


def test_files_for_each_part(tmp_path):
    for part in ("train", "valid", "test"):
        photo(tmp_path / part / "a.png")
        photo(tmp_path / part / "new.png")
        text(
            tmp_path / part / "_annotations.csv",
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,20,ant,10,4,30,14\n",
        )
    layout, reports = write(tmp_path)
    assert layout.evidence == (
        "train/_annotations.csv, valid/_annotations.csv, test/_annotations.csv"
    )
    assert [report.num_images for report in reports] == [1, 1, 1]
    assert boxes(tmp_path, "val") == {"valid/a.png": BOX}
    assert reports[0].skipped[WITHOUT_LABELS] == 3
    options = ConvertOptions(num_workers=1, background=True)
    assert [report.num_images for report in write(tmp_path, options)[1]] == [2, 2, 2]
    photo(tmp_path / "elsewhere.png")
    assert write(tmp_path, options)[1][0].skipped[csv_boxes.NO_PART] == 1


def test_lists_of_the_tutorial(tmp_path):
    """`data/train_labels.csv` with photos in `images/train/`, equal names in both parts."""
    row = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,20,ant,10,4,30,{}\n"
    for part, side in (("train", 14), ("test", 15)):
        photo(tmp_path / "images" / part / "a.png")
        text(tmp_path / "data" / f"{part}_labels.csv", row.format(side))
    text(tmp_path / "data" / "all.csv", row.format(16))
    layout, (train, test) = write(tmp_path)
    assert not layout.is_split and f"{tmp_path}/data/all.csv is left out" in str(train)
    assert boxes(tmp_path) == {"images/train/a.png": BOX}
    assert boxes(tmp_path, "test") == {"images/test/a.png": [[4, 10, 15, 30]]}


def test_several_lists(tmp_path):
    photo(tmp_path / "a.png")
    for name in ("one", "two"):
        text(tmp_path / f"{name}.csv", "a.png,1,2,3,4,ant\n")
    with pytest.raises(UserError, match="could each be the list of boxes"):
        csv_boxes.find(str(tmp_path))
    assert csv_boxes.find(str(tmp_path / "one.csv")).evidence == "one.csv"


def test_a_table_that_lacks_a_column_beside_one_that_does_not(tmp_path):
    photo(tmp_path / "a.png")
    text(tmp_path / "boxes.csv", "a.png,1,2,3,4,ant\n")
    text(tmp_path / "tracks.csv", "frame,x,y,w,h\n1,2,3,4,5\n")
    _, (report,) = write(tmp_path)
    assert report.num_boxes == 1 and "left out: " in str(report) and "tracks.csv" in str(report)


def test_classes_of_each_part(tmp_path):
    """Roboflow's RetinaNet export."""
    for part in ("train", "valid"):
        photo(tmp_path / part / "a.png")
        text(tmp_path / part / "_annotations.csv", "a.png,1,2,3,4,ant\n")
        text(tmp_path / part / "_classes.csv", "bee,0\nant,1\n")
    assert write(tmp_path)[1][0].labels == {1: "bee", 2: "ant"}
    text(tmp_path / "valid/_classes.csv", "ant,0\nbee,1\n")
    with pytest.raises(UserError, match="numbers the classes differently"):
        write(tmp_path)


def test_absolute_paths(tmp_path):
    path = photo(tmp_path / "photos/a.png")
    text(tmp_path / "lists/boxes.csv", f"{path},10,4,30,14,ant\n")
    layout, _ = write(tmp_path / "lists")
    assert path in layout.inputs
    assert boxes(tmp_path / "lists") == {"a.png": BOX}


def test_one_photo_under_two_names(tmp_path):
    photo(tmp_path / "a.png")
    text(tmp_path / "boxes.csv", "a.png,10,4,30,14,ant\n./a.png,1,2,3,4,bee\n")
    assert write(tmp_path)[1][0].num_boxes == 2


def test_photos_with_an_exif_turn(tmp_path):
    photo(tmp_path / "a.jpg", size=(40, 20), orientation=6)
    text(
        tmp_path / "boxes.csv",
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,40,20,ant,10,4,30,14\n",
    )
    _, (report,) = write(tmp_path)
    assert report.skipped[LYING] == 1 and boxes(tmp_path) == {"a.jpg": [[10, 6, 30, 16]]}


def test_a_photo_in_fractions_among_pixels(tmp_path):
    for name in "ab":
        photo(tmp_path / f"{name}.png")
    text(tmp_path / "boxes.csv", "a.png,10,4,30,14,ant\nb.png,0.2,0.2,0.5,0.5,ant\n")
    with pytest.raises(UserError, match=r"all boxes of .*b\.png are within 0\.\.1\.5"):
        write(tmp_path)


def test_a_folder_around_the_data(tmp_path):
    photo(tmp_path / "cells/photos/a.png")
    text(tmp_path / "cells/boxes.csv", "a.png,10,4,30,14,ant\n")
    write(tmp_path)
    assert boxes(tmp_path) == {"photos/a.png": BOX}


def test_a_val_part_without_its_photos(tmp_path):
    for name in ("a.png", "b.png"):
        photo(tmp_path / name)
    rows = "".join(
        f"{part},{name}.png,10,4,30,14,ant\n"
        for part, name in (("train", "a"), ("train", "b"), ("val", "x"))
    )
    text(tmp_path / "boxes.csv", f"split,path,xmin,ymin,xmax,ymax,class\n{rows}")
    says = (
        "None of the 1 photos for val that .*boxes.csv lists exist in .*, or remove their rows to"
    )
    with pytest.raises(UserError, match=says):
        csv_boxes.convert(str(tmp_path), str(tmp_path / "out"), num_workers=1)
