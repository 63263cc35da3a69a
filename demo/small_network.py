"""Writes a trained network as the small files that are shipped with the demonstrations."""

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import yaml  # noqa: E402

from efficientvision import files  # noqa: E402
from efficientvision.loading import CONFIG_FILE, LABELS_FILE  # noqa: E402
from efficientvision.weights.names import published_variables  # noqa: E402
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint  # noqa: E402


def write_small_network(
    folder: str, model: keras.Model, facts: Mapping[str, Any], names: Mapping[int, str]
) -> None:
    """Writes weights, `config.yaml` and `labels.json`, so that the folder loads like a run.

    Args:
        folder: output folder; created if it is missing.
        model: the network.
        facts: hyper-parameters of the architecture, including `name` and `task`.
        names: class number -> name.
    """
    files.make_folder(folder)
    with tempfile.TemporaryDirectory() as unfinished:
        prefix = files.join(unfinished, "model")
        write_tf1_checkpoint(prefix, {n: v.numpy() for n, v in published_variables(model).items()})
        for name in files.list_names(unfinished):
            files.copy(files.join(unfinished, name), files.join(folder, name))
    files.write_text(files.join(folder, CONFIG_FILE), yaml.safe_dump(dict(facts), sort_keys=False))
    labels = {str(number): name for number, name in names.items()}
    files.write_text(files.join(folder, LABELS_FILE), json.dumps(labels, indent=2) + "\n")
    total = sum(files.size(files.join(folder, name)) for name in files.list_names(folder))
    print(f"{folder}: {total / 1000:.0f} kB")
