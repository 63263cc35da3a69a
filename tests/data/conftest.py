"""Small data sets made on the spot."""

import io
import json

import numpy as np
import pytest
from PIL import Image

RED = (255, 0, 0)


def encode(image: np.ndarray, image_format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, image_format, quality=95)
    return file.getvalue()


@pytest.fixture(scope="session")
def encode_image():
    """(uint8 array, "PNG" or "JPEG") -> the file's bytes."""
    return encode


@pytest.fixture
def make_records(tmp_path):
    """Writes records of images with one red rectangle each; returns their pattern.

    Image i (from 0) has source_id str(i + 1) and `boxes_per_image[i % len]` boxes; the first box is
    the red rectangle. Sizes vary.
    """
    from efficientvision.data.record_files import write_shards
    from efficientvision.data.records import DetectionExample, encode_example

    def make(
        count=6,
        *,
        name="set",
        boxes_per_image=(1,),
        num_shards=2,
        image_format="PNG",
        classes=(1, 2),
    ):
        def build(index):
            random = np.random.default_rng(index)
            height, width = 60 + 10 * (index % 3), 80 + 10 * (index % 2)
            image = np.full((height, width, 3), 64, np.uint8)
            boxes = []
            for _ in range(boxes_per_image[index % len(boxes_per_image)]):
                top, left = random.integers(0, 30, 2)
                bottom, right = top + random.integers(15, 30), left + random.integers(15, 40)
                boxes.append([top, left, bottom, right])
            if boxes:
                top, left, bottom, right = boxes[0]
                image[top:bottom, left:right] = RED
            ids = [classes[k % len(classes)] for k in range(len(boxes))]
            array = np.array(boxes, np.float64).reshape(-1, 4)
            return encode_example(
                DetectionExample(
                    encoded=encode(image, image_format),
                    image_format=image_format.lower(),
                    filename=f"{index}.{image_format.lower()}",
                    source_id=str(index + 1),
                    height=height,
                    width=width,
                    boxes_yxyx=array,
                    classes=ids,
                    class_names=[f"class {i}" for i in ids],
                    areas=[float((b - t) * (r - le)) for t, le, b, r in boxes],
                    is_crowd=[int(k == 1) for k in range(len(boxes))],
                )
            )

        prefix = tmp_path / "records" / name
        write_shards(range(count), build, str(prefix), num_shards=num_shards, num_workers=1)
        return f"{prefix}-*"

    return make


@pytest.fixture
def voc_folder(tmp_path):
    """Makes a PASCAL folder; returns (data_dir, year, add) where add(stem, objects, set_name)."""
    root = tmp_path / "VOCdevkit" / "Mine"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)

    def add(stem, objects, set_file="train.txt", suffix=".jpg", size=(64, 48), stated=None):
        width, height = size
        image = np.full((height, width, 3), 100, np.uint8)
        image_format = "JPEG" if suffix == ".jpg" else "PNG"
        (root / "JPEGImages" / (stem + suffix)).write_bytes(encode(image, image_format))
        shown_width, shown_height = stated or size
        xml = [
            f"<annotation><filename>{stem}{suffix}</filename><size><width>{shown_width}</width>"
            f"<height>{shown_height}</height><depth>3</depth></size>"
        ]
        for name, (xmin, ymin, xmax, ymax), *difficult in objects:
            xml.append(
                f"<object><name>{name}</name><pose>Left</pose><truncated>1</truncated>"
                f"<difficult>{int(bool(difficult))}</difficult><bndbox><xmin>{xmin}</xmin>"
                f"<ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
            )
        (root / "Annotations" / f"{stem}.xml").write_text("".join(xml) + "</annotation>")
        with open(root / "ImageSets" / "Main" / set_file, "a") as file:
            file.write(f"{stem}{' 1' if '_' in set_file else ''}\n")

    return str(root.parent), "Mine", add


@pytest.fixture
def coco_folder(tmp_path):
    """A COCO set of two images: (image folder, instances JSON path, captions JSON path)."""
    images = tmp_path / "val2017"
    images.mkdir()
    infos = []
    for image_id, name in ((139, "a.jpg"), (20000000007, "b.jpg")):
        (images / name).write_bytes(encode(np.full((40, 50, 3), 90, np.uint8), "JPEG"))
        infos.append({"id": image_id, "file_name": name, "height": 40, "width": 50})
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    objects = [
        {"bbox": [10, 10, 10, 10], "category_id": 90, "iscrowd": 0, "area": 100.0,
         "segmentation": square},
        {"bbox": [0, 0, 30, 20], "category_id": 1, "iscrowd": 1, "area": 77.0,
         "segmentation": {"size": [40, 50], "counts": [0, 400, 1600]}},
        {"bbox": [45, 10, 10, 10], "category_id": 1, "iscrowd": 0, "area": 100.0},
        {"bbox": [5, 5, 0, 10], "category_id": 1, "iscrowd": 0, "area": 0.0},
    ]  # fmt: skip
    for number, annotation in enumerate(objects, start=1):
        annotation.update(id=number, image_id=139)
    instances = {
        "images": infos,
        "annotations": objects,
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    }
    captions = {
        "images": infos,
        "annotations": [
            {"id": 1, "image_id": 139, "caption": "a grey picture"},
            {"id": 2, "image_id": 139, "caption": "nothing to see"},
        ],
    }
    paths = [str(tmp_path / name) for name in ("instances.json", "captions.json")]
    for path, content in zip(paths, (instances, captions), strict=True):
        with open(path, "w") as file:
            json.dump(content, file)
    return str(images), *paths
