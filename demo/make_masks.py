"""Generates a small segmentation data set: the shapes of `make_shapes.py` with masks.

    python demo/make_masks.py --output_dir=masks --split=train --num_images=1000 --seed=1
    python demo/make_masks.py --output_dir=masks --split=val --num_images=60 --seed=2
    python dataset/create_segmentation_tfrecord.py --images_dir=masks/images \\
        --masks_dir=masks/labels --class_names=masks/classes.txt --output_dir=masks/tfrecord

writes masks/images/train/000001.jpg ..., masks/labels/train/000001.png ... (0 is the background)
and masks/classes.txt. The same seed gives the same files.
"""

import argparse
import pathlib

import numpy as np
from make_shapes import CLASSES, MIN_SIZE, Scene, make_scene
from PIL import Image
from tqdm import tqdm

from efficientvision.tasks.segmentation.palettes import palette_of

NAMES = ("background", *CLASSES)


def class_map_of(scene: Scene) -> np.ndarray:
    """Returns the class map of a scene, uint8 [H, W], indices of `NAMES`."""
    numbers = [0, *(NAMES.index(name) for name in scene.classes)]
    return np.array(numbers, np.uint8)[scene.owner + 1]


def write_split(
    output_dir: str, split: str, num_images: int, seed: int, image_hw: tuple[int, int]
) -> None:
    """Writes `num_images` pictures and their masks.

    Args:
        output_dir: receives `images/<split>/`, `labels/<split>/` and `classes.txt`.
        split: name of the split, such as `train`.
        num_images: number of pictures.
        seed: random seed; the same seed gives the same pictures.
        image_hw: (height, width) in pixels.
    """
    root = pathlib.Path(output_dir)
    images, labels = root / "images" / split, root / "labels" / split
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    palette = [value for color in palette_of(dict(enumerate(NAMES)), len(NAMES)) for value in color]
    for number in tqdm(range(1, num_images + 1), desc=f"drawing {split}", unit="image"):
        scene = make_scene(np.random.default_rng([seed, number]), image_hw)
        Image.fromarray(scene.image).save(images / f"{number:06d}.jpg", quality=92)
        mask = Image.fromarray(class_map_of(scene))
        mask.putpalette(palette)
        mask.save(labels / f"{number:06d}.png")
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--split", default="train", help="name of the set (default: train)")
    parser.add_argument("--num_images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=128, help="side of the square images in pixels")
    arguments = parser.parse_args()
    if arguments.side < 2 * MIN_SIZE or arguments.num_images < 1:
        parser.error(f"--side must be at least {2 * MIN_SIZE}, --num_images at least 1")
    side = (arguments.side, arguments.side)
    write_split(arguments.output_dir, arguments.split, arguments.num_images, arguments.seed, side)
    print(f"Wrote {arguments.num_images} images and masks below {arguments.output_dir}")


if __name__ == "__main__":
    main()
