"""Small Keras weight files, as Keras lays them out, and what no honest one holds."""

import io
import zipfile

import h5py
import numpy as np

KERNEL = np.arange(36, dtype=np.float32).reshape(3, 3, 2, 2)
BIAS = np.arange(2, dtype=np.float32)
# What a reader finds in each of the files below.
CONTENT = {"box_net/box-0/kernel": KERNEL, "box_net/box-0/bias": BIAS}


def write_keras3(path, change=None):
    """Writes a `.weights.h5` of one convolution; `change` may spoil the open file."""
    with h5py.File(path, "w") as file:
        box_net = file.create_group("layers/box_net")
        box_net.create_group("vars").attrs["name"] = "box_net"
        variables = box_net.create_group("conv/vars")
        variables.attrs["name"] = "box-0"
        variables["0"], variables["1"] = KERNEL, BIAS
        if change is not None:
            change(file)


def write_keras2(path, change=None):
    """Writes an `.h5` of one layer, named as TensorFlow named variables."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"box_net"]
        layer = file.create_group("box_net")
        layer.attrs["weight_names"] = [b"box_net/box-0/kernel:0", b"box_net/box-0/bias:0"]
        layer["box_net/box-0/kernel:0"], layer["box_net/box-0/bias:0"] = KERNEL, BIAS
        if change is not None:
            change(file)


def write_archive(path, change=None, compression=zipfile.ZIP_STORED, name="model.weights.h5"):
    """Writes a `.keras` file around the same weights."""
    content = io.BytesIO()
    write_keras3(content, change)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr(name, content.getvalue())


WRITERS = {".h5": write_keras2, ".weights.h5": write_keras3, ".keras": write_archive}


def replaced(file, make):
    """Puts something else in the place of the kernel, whichever Keras wrote the file."""
    layer, name = (
        (file["box_net/box_net/box-0"], "kernel:0")
        if "box_net" in file
        else (file["layers/box_net/conv/vars"], "0")
    )
    del layer[name]
    made = make(layer, name)
    if made is not None:
        layer[name] = made
