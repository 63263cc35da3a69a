"""Runs an exported LiteRT file on a photo with only numpy, Pillow and the interpreter.

    python demo/run_litert.py exports/espnetv2_s_0.5_int8.tflite photo.jpg
    python demo/run_litert.py exports/segmenter.tflite street.jpg --output_image=classes.png

It shows what an app must do, step by step, using the file's description, `<file>.json`: a template
for programs in other languages. It does not import efficientvision.
"""

import argparse
import json

import numpy as np
from PIL import Image


def load_interpreter(path: str):
    """Loads the file with the interpreter of whichever package is installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite import Interpreter
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    return interpreter


def run_network(interpreter, image: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs by name for an image, float32 [h, w, 3] in 0..255, not normalised."""
    return interpreter.get_signature_runner("serving_default")(images=image[np.newaxis])


def prepare(photo: Image.Image, rule: dict) -> tuple[np.ndarray, np.ndarray]:
    """Prepares a photo for the network, following the description's `resize`.

    Returns:
        (image, scale): float32 [height, width, 3]; float64 [2], the size (y, x) of a pixel of the
        image in pixels of the photo.
    """
    source = np.array([photo.height, photo.width])
    target = np.array([rule["height"], rule["width"]])
    if rule["method"] == "stretch":
        return resize(photo, target, rule), source / target
    if rule["method"] == "cover":
        return cover(photo, target, rule), np.full(2, np.nan)
    factor = (target / source).min()
    fitted = np.maximum((source * factor).astype(int), 1)
    image = np.empty((*target, 3), np.float32)
    image[:] = rule["fill_rgb"]
    image[: fitted[0], : fitted[1]] = resize(photo, fitted, rule)
    return image, np.full(2, 1 / factor)


def cover(photo: Image.Image, target: np.ndarray, rule: dict) -> np.ndarray:
    """Resizes a photo to cover the input's sides / `crop_fraction`, and crops the centre."""
    source = np.array([photo.height, photo.width])
    sides = (target / rule["crop_fraction"]).astype(int)
    larger = 0 if sides[0] * source[1] >= sides[1] * source[0] else 1
    fitted = (sides[larger] * source / source[larger]).astype(int)
    fitted = np.maximum(fitted, target)
    y, x = np.round((fitted - target) / 2).astype(int)
    return resize(photo, fitted, rule)[y : y + target[0], x : x + target[1]]


def resize(photo: Image.Image, size: np.ndarray, rule: dict) -> np.ndarray:
    """Resizes to float32 [h, w, 3]. Pillow's bilinear is antialiased, unlike most libraries'."""
    if rule["antialias"]:
        return np.asarray(photo.resize((size[1], size[0]), Image.BILINEAR), np.float32)
    values = np.asarray(photo, np.float32)
    for axis in range(2):
        length = values.shape[axis]
        place = (np.arange(size[axis]) + 0.5) * (length / size[axis]) - 0.5
        low = np.floor(place).astype(int)
        share = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        below = values.take(low.clip(0, length - 1), axis)
        above = values.take((low + 1).clip(0, length - 1), axis)
        values = below + (above - below) * share
    return np.round(values) if rule["rounded"] else values


def make_anchors(about: dict, sides: np.ndarray) -> np.ndarray:
    """Generates anchors [A, 4]: y and x of the centre, height, width in pixels of the input."""
    parts = []
    for level in about["levels"]:
        (rows, columns), stride = level["cells_hw"], np.array(level["stride_yx"])
        for row in range(rows):
            for column in range(columns):
                center = (np.array([row, column]) + 0.5) * stride
                parts += [[*center, *size] for size in level["sizes_hw"]]
    anchors = np.array(parts)
    return np.clip(anchors, 0, np.tile(sides, 2)) if about["clipped"] else anchors


def decode(outputs: dict[str, np.ndarray], contract: dict) -> np.ndarray:
    """Decodes raw outputs to rows [n, 6]: ymin, xmin, ymax, xmax in input pixels, score, class."""
    about, limits = contract["decoding"], contract["suppression"]
    sides = np.array([contract["resize"]["height"], contract["resize"]["width"]])
    values = outputs[about["scores"]["output"]][0].astype(np.float64)
    if about["scores"]["function"] == "softmax":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        scores = values / values.sum(axis=1, keepdims=True)
    else:
        scores = 1 / (1 + np.exp(-values))
    scores = scores[:, 1:] if about["scores"]["background_first"] else scores
    best = scores.max(axis=1)
    order = np.argsort(-best, kind="stable")[: limits["max_candidates"]]
    order = order[best[order] > limits["score_threshold"]]
    columns = [about["boxes"]["order"].index(name) for name in ("y", "x", "height", "width")]
    box_deltas = outputs[about["boxes"]["output"]][0] * np.array(about["boxes"]["scale"])
    box_deltas, anchors = (
        box_deltas[order][:, columns],
        make_anchors(about["anchors"], sides)[order],
    )
    center = anchors[:, :2] + box_deltas[:, :2] * anchors[:, 2:]
    half = np.exp(box_deltas[:, 2:]) * anchors[:, 2:] / 2
    boxes, classes = np.hstack([center - half, center + half]), scores[order].argmax(axis=1)
    kept = suppress(boxes, classes, limits["iou_threshold"])[: limits["max_detections"]]
    return np.column_stack([boxes[kept], best[order][kept], classes[kept] + 1])


def suppress(boxes: np.ndarray, classes: np.ndarray, threshold: float) -> list[int]:
    """Returns the boxes that overlap no better box of their class by more than the threshold."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        rivals = boxes[[k for k in kept if classes[k] == classes[index]]]
        shared = np.minimum(box[2:], rivals[:, 2:]) - np.maximum(box[:2], rivals[:, :2])
        overlap = shared.clip(0).prod(axis=1)
        union = (box[2:] - box[:2]).prod() + (rivals[:, 2:] - rivals[:, :2]).prod(axis=1) - overlap
        if not (overlap > threshold * union).any():
            kept.append(index)
    return kept


def show_detections(outputs, contract, scale, asked: float | None) -> None:
    least = contract["min_score"] if asked is None else asked
    by_class = contract.get("class_min_scores", {}) if asked is None else {}
    rows = outputs["detections"][0] if "detections" in outputs else decode(outputs, contract)
    for *box, score, number in rows:
        if score >= max(by_class.get(str(int(number)), least), 1e-9):
            ymin, xmin, ymax, xmax = box * np.tile(scale, 2)
            name = contract["labels"][int(number) - 1]
            print(f"{score:.4f} {ymin:.2f} {xmin:.2f} {ymax:.2f} {xmax:.2f} {name}")


def show_classes(probabilities: np.ndarray, labels: list[str], count: int = 5) -> None:
    for index in np.argsort(-probabilities)[:count]:
        print(f"{probabilities[index]:.4f} {labels[index]}")


def show_class_map(found: np.ndarray, facts: dict, photo: Image.Image, path: str | None) -> None:
    """Prints the share of each class, and writes the map at the photo's size if a path is given."""
    rows, columns = (
        (2 * np.arange(side) + 1) * small // (2 * side)
        for side, small in zip((photo.height, photo.width), found.shape, strict=True)
    )
    class_map = found[rows][:, columns].astype(np.uint8)
    labels = facts["contract"]["labels"]
    for number, count in zip(*np.unique(class_map, return_counts=True), strict=True):
        print(f"{count / class_map.size:.4f} {labels[number]}")
    if path:
        picture = Image.fromarray(class_map)
        picture.putpalette(np.array(facts["palette"], np.uint8).tobytes())
        picture.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="the .tflite file, its .json beside it")
    parser.add_argument("photo")
    parser.add_argument("--min_score", type=float, help="minimum score; default: the file's own")
    parser.add_argument("--output_image", help="segmenters: PNG file for the class map")
    options = parser.parse_args()

    with open(f"{options.model}.json", encoding="utf-8") as file:
        facts = json.load(file)
    contract = facts["contract"]
    with Image.open(options.photo) as opened:
        photo = opened.convert("RGB")
    image, scale = prepare(photo, contract["resize"])
    outputs = run_network(load_interpreter(options.model), image)
    if "suppression" in contract:
        show_detections(outputs, contract, scale, options.min_score)
    elif "probabilities" in outputs:
        show_classes(outputs["probabilities"][0], contract["labels"])
    else:
        found = outputs.get("class_map")
        found = outputs["logits"].argmax(axis=-1) if found is None else found
        show_class_map(found[0], facts, photo, options.output_image)


if __name__ == "__main__":
    main()
