"""Generates a small detection data set: coloured shapes on textured backgrounds, as COCO JSON.

    python demo/make_shapes.py --output_dir=shapes --split=train --num_images=600 --seed=1

writes shapes/train/000001.jpg ... and shapes/annotations/instances_train.json. The same seed gives
the same files; each image depends only on the seed and its number.
"""

import argparse
import colorsys
import dataclasses
import json
import math
import pathlib
import shutil

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

CLASSES = ("circle", "square", "triangle", "star", "cross")
MORE_CLASSES = (*CLASSES, "bar", "arrow")
# Longer side of a shape's box in pixels, drawn log-uniformly: a ratio of nine.
MIN_SIZE, MAX_SIZE = 14, 126
MAX_SHAPES = 7
EMPTY_SHARE = 0.08
# Each class has a preferred hue, like real objects: with shape alone, training from scratch would
# take too long for a demo. Neighbouring hues overlap (a circle is 0.2).
HUE_SPREAD = 0.045
# Minimum visible share of a shape that is covered by later ones.
MIN_VISIBLE = 0.6
_SUPERSAMPLING = 4


@dataclasses.dataclass(frozen=True)
class Shape:
    """One shape with class, position and appearance.

    Attributes:
        name: one of `MORE_CLASSES`.
        center_yx: center of its box in pixels.
        size: longer side of its box in pixels.
        angle: rotation in radians.
        stretch: width / height before rotation.
        colors: two RGB colours, 0..255; the shape shades from one to the other.
    """

    name: str
    center_yx: tuple[float, float]
    size: float
    angle: float = 0.0
    stretch: float = 1.0
    colors: tuple[tuple[float, ...], tuple[float, ...]] = ((255, 255, 255), (255, 255, 255))


@dataclasses.dataclass(frozen=True)
class Scene:
    """An image with its annotations.

    Attributes:
        image: uint8 [H, W, 3].
        boxes_yxyx: float32 [N, 4], pixels of the image, tight around the visible part.
        classes: N class names.
        owner: int32 [H, W], index of the visible shape at each pixel, -1 for background.
    """

    image: np.ndarray
    boxes_yxyx: np.ndarray
    classes: tuple[str, ...]
    owner: np.ndarray


def outline(name: str) -> np.ndarray:
    """Corners of a shape, float64 [P, 2] as (y, x), centred at the origin, of about unit size."""
    if name == "circle":
        turns, radius = np.linspace(0, 1, 48, endpoint=False), 0.5
    elif name == "square":
        turns, radius = (np.arange(4) + 0.5) / 4, 0.5
    elif name == "triangle":
        turns, radius = np.arange(3) / 3, 0.5
    elif name == "star":
        turns, radius = np.arange(10) / 10, np.where(np.arange(10) % 2, 0.2, 0.5)
    elif name == "cross":
        w = 1 / 6
        return np.array(
            [(-0.5, -w), (-0.5, w), (-w, w), (-w, 0.5), (w, 0.5), (w, w)]
            + [(0.5, w), (0.5, -w), (w, -w), (w, -0.5), (-w, -0.5), (-w, -w)]
        )
    elif name == "bar":
        return np.array([(-0.5, -0.12), (-0.5, 0.12), (0.5, 0.12), (0.5, -0.12)])
    elif name == "arrow":
        head = [(-0.5, 0.0), (-0.05, 0.35), (-0.05, 0.12)]
        tail = [(0.5, 0.12), (0.5, -0.12), (-0.05, -0.12), (-0.05, -0.35)]
        return np.array(head + tail)
    else:
        raise ValueError(f"Unknown shape {name!r}; known are {', '.join(MORE_CLASSES)}.")
    return np.stack([-radius * np.cos(2 * np.pi * turns), radius * np.sin(2 * np.pi * turns)], -1)


def coverage(shape: Shape, image_hw: tuple[int, int]) -> np.ndarray:
    """The share of each pixel that a shape covers, float32 [H, W], 0..1."""
    points = outline(shape.name) * (1.0, shape.stretch)
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (shape.size / (high - low).max())
    points = (points + shape.center_yx) * _SUPERSAMPLING - 0.5
    height, width = image_hw
    canvas = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    ImageDraw.Draw(canvas).polygon([(x, y) for y, x in points], fill=255)
    return np.asarray(canvas.reduce(_SUPERSAMPLING), np.float32) / 255.0


def paint(image: np.ndarray, alpha: np.ndarray, shape: Shape) -> None:
    """Paints a shape over `image` (float32 [H, W, 3], in place), shading along its rotation."""
    height, width = alpha.shape
    y = (np.arange(height)[:, None] - shape.center_yx[0]) * math.cos(shape.angle)
    x = (np.arange(width)[None, :] - shape.center_yx[1]) * math.sin(shape.angle)
    shade = np.clip((y + x) / shape.size + 0.5, 0, 1)[..., None]
    first, second = (np.asarray(c, np.float32) for c in shape.colors)
    color = first * (1 - shade) + second * shade
    image += alpha[..., None] * (color - image)


def make_background(rng: np.random.Generator, image_hw: tuple[int, int]) -> np.ndarray:
    """A dull, textured background, float32 [H, W, 3], 0..255: noise, sometimes with stripes."""
    height, width = image_hw
    texture = np.zeros(image_hw, np.float32)
    for cells in (2, 5, 12, 40):
        grid = Image.fromarray(rng.random((cells, cells), np.float32))
        texture += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / cells**0.4
    if rng.random() < 0.5:
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 40)
        y, x = np.mgrid[:height, :width]
        texture += 0.4 * np.sin((y * np.cos(angle) + x * np.sin(angle)) * 2 * np.pi / period)
    texture = (texture - texture.min()) / np.ptp(texture)
    dark = rng.uniform(30, 190) + rng.uniform(-15, 15, 3)
    light = np.clip(dark + rng.uniform(10, 60) + rng.uniform(-15, 15, 3), 0, 255)
    image = dark + texture[..., None] * (light - dark)
    return (image + rng.normal(0, 5, image.shape)).astype(np.float32)


def _random_shape(
    rng: np.random.Generator,
    image_hw: tuple[int, int],
    max_size: float,
    names: tuple[str, ...],
) -> Shape:
    """A shape inside the image, more vivid than the background."""
    height, width = image_hw
    size = math.exp(rng.uniform(math.log(MIN_SIZE), math.log(min(MAX_SIZE, max_size))))
    margin = size / 2 + 1
    center = rng.uniform(margin, height - margin), rng.uniform(margin, width - margin)
    kind = int(rng.integers(len(names)))
    hue = kind / len(names) + rng.normal(0, HUE_SPREAD)
    color = 255 * np.array(colorsys.hsv_to_rgb(hue % 1, *rng.uniform(0.6, 1, 2)))
    other = np.clip(color + rng.uniform(-35, 35, 3), 0, 255)
    return Shape(
        name=names[kind],
        center_yx=center,
        size=size,
        angle=rng.uniform(0, 2 * np.pi),
        stretch=rng.uniform(0.85, 1.18),
        colors=(tuple(color), tuple(other)),
    )


def make_scene(
    rng: np.random.Generator,
    image_hw: tuple[int, int],
    names: tuple[str, ...] = CLASSES,
    max_shapes: int = MAX_SHAPES,
) -> Scene:
    """Draws a background and some shapes that may partly cover each other.

    Args:
        rng: random number generator.
        image_hw: (height, width) in pixels, both larger than twice `MIN_SIZE`.
        names: classes of the shapes.
        max_shapes: maximum number of shapes.
    """
    image = make_background(rng, image_hw)
    owner = np.full(image_hw, -1, np.int32)
    classes: list[str] = []
    areas: list[int] = []
    count = 0 if rng.random() < EMPTY_SHARE else int(rng.integers(1, max_shapes + 1))
    for _ in range(count * 4):
        if len(classes) == count:
            break
        shape = _random_shape(rng, image_hw, min(image_hw) - 4, names)
        alpha = coverage(shape, image_hw)
        after = np.where(alpha >= 0.5, len(classes), owner)
        left = np.bincount(after[after >= 0], minlength=len(classes) + 1)
        if any(left[i] < MIN_VISIBLE * area for i, area in enumerate(areas)):
            continue
        paint(image, alpha, shape)
        owner = after
        classes.append(shape.name)
        areas.append(int(left[-1]))
    boxes = [_tight_box(owner == i) for i in range(len(classes))]
    return Scene(
        image=np.clip(np.rint(image), 0, 255).astype(np.uint8),
        boxes_yxyx=np.array(boxes, np.float32).reshape(-1, 4),
        classes=tuple(classes),
        owner=owner,
    )


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def _annotations(scene: Scene, image_id: int, first_id: int) -> list[dict]:
    """The shapes of a scene as COCO annotations (`bbox` is x, y, width, height)."""
    annotations = []
    for i, (box, name) in enumerate(zip(scene.boxes_yxyx.tolist(), scene.classes, strict=True)):
        ymin, xmin, ymax, xmax = box
        annotations.append(
            {
                "id": first_id + i,
                "image_id": image_id,
                "category_id": MORE_CLASSES.index(name) + 1,
                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                "area": int((scene.owner == i).sum()),
                "iscrowd": 0,
            }
        )
    return annotations


def write_split(
    output_dir: str,
    split: str,
    num_images: int,
    seed: int,
    image_hw: tuple[int, int],
    names: tuple[str, ...] = CLASSES,
    max_shapes: int = MAX_SHAPES,
) -> pathlib.Path:
    """Writes `num_images` pictures and their COCO JSON, replacing an earlier split of that name.

    Args:
        output_dir: receives `<split>/` and `annotations/instances_<split>.json`.
        split: name of the split, such as `train`.
        num_images: number of pictures.
        seed: random seed; the same seed gives the same pictures.
        image_hw: (height, width) in pixels.
        names, max_shapes: see `make_scene`.

    Returns:
        The path of the JSON.
    """
    root = pathlib.Path(output_dir)
    pictures, unfinished = root / split, root / f".{split}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    images, annotations = [], []
    for image_id in tqdm(range(1, num_images + 1), desc=f"drawing {split}", unit="image"):
        scene = make_scene(np.random.default_rng([seed, image_id]), image_hw, names, max_shapes)
        name = f"{image_id:06d}.jpg"
        Image.fromarray(scene.image).save(unfinished / name, quality=92)
        images.append(
            {"id": image_id, "file_name": name, "height": image_hw[0], "width": image_hw[1]}
        )
        annotations += _annotations(scene, image_id, first_id=len(annotations) + 1)
    shutil.rmtree(pictures, ignore_errors=True)
    unfinished.rename(pictures)
    categories = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".unfinished")
    temporary.write_text(json.dumps(truth))
    temporary.replace(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--split", default="train", help="name of the set (default: train)")
    parser.add_argument("--num_images", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--image_size", default="320x240", help="width x height in pixels")
    parser.add_argument("--num_classes", type=int, default=len(CLASSES), help="classes, 5 to 7")
    parser.add_argument("--max_shapes", type=int, default=MAX_SHAPES, help="maximum per image")
    arguments = parser.parse_args()
    if not len(CLASSES) <= arguments.num_classes <= len(MORE_CLASSES) or arguments.max_shapes < 1:
        parser.error(
            f"--num_classes must be {len(CLASSES)} to {len(MORE_CLASSES)}, --max_shapes at least 1"
        )
    try:
        width, height = (int(side) for side in arguments.image_size.lower().split("x"))
    except ValueError:
        parser.error(f"--image_size={arguments.image_size} is not WIDTHxHEIGHT, such as 320x240")
    if min(width, height) < 2 * MIN_SIZE:
        parser.error(f"--image_size={arguments.image_size} is smaller than {2 * MIN_SIZE} pixels")
    if arguments.num_images < 1:
        parser.error(f"--num_images={arguments.num_images} is less than 1")
    path = write_split(
        arguments.output_dir,
        arguments.split,
        arguments.num_images,
        arguments.seed,
        (height, width),
        MORE_CLASSES[: arguments.num_classes],
        arguments.max_shapes,
    )
    print(f"Wrote {arguments.num_images} images and {path}")


if __name__ == "__main__":
    main()
