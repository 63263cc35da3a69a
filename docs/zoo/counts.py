"""Counts parameters and multiply-adds of the zoo's networks, and caches them in counts.json."""

import json
import pathlib
from collections.abc import Callable, Iterable

from docs.zoo.rows import Row
from efficientvision import files

COUNTS = pathlib.Path(__file__).parent / "counts.json"

# parameters that are trained, multiply-adds of the whole network, and of its convolutions alone.
Counts = dict[str, int]


def count(row: Row) -> Counts:
    """Builds a network and counts.

    Returns:
        `parameters`: trainable parameters; `multiply_adds`: per image, everything that
        TensorFlow's profiler counts; `convolutions`: only those in convolutions, as the EdgeNets'
        authors count.
    """
    import keras
    import numpy as np

    from efficientvision.api import build_model
    from efficientvision.configs import parse_image_size
    from efficientvision.exports.flops import multiply_adds

    keras.backend.clear_session()
    model = build_model(row.model, **row.arguments)
    whole, convolutions = multiply_adds(model, parse_image_size(row.image_size))
    return {
        "parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "multiply_adds": whole,
        "convolutions": convolutions,
    }


def read_counts(path: pathlib.Path = COUNTS) -> dict[str, Counts]:
    """Reads earlier counts: `Row.key` -> counts; empty if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def count_missing(
    rows: Iterable[Row], report: Callable[[str], None], path: pathlib.Path = COUNTS
) -> dict[str, Counts]:
    """Counts networks that the file lacks, removes obsolete ones, and writes the file.

    The file is written after each network, so that an interrupted run continues where it stopped.

    Args:
        rows: the zoo.
        report: called with a line for each network that is counted.
        path: the file.
    """
    rows = list(rows)
    known = read_counts(path)
    kept = {row.key: known[row.key] for row in rows if row.key in known}
    for number, row in enumerate(rows, start=1):
        if row.key not in kept:
            kept[row.key] = count(row)
            report(f"{number}/{len(rows)} {row.key}: {kept[row.key]}")
            _write(path, {row.key: kept[row.key] for row in rows if row.key in kept})
    _write(path, {row.key: kept[row.key] for row in rows})
    return kept


def _write(path: pathlib.Path, counts: dict[str, Counts]) -> None:
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(counts[key])}" for key in counts)
    files.write_bytes(path, f"{{\n{lines}\n}}\n".encode())
