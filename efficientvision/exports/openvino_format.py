"""OpenVINO models: an `.xml` file with a `.bin` file of weights beside it."""

import tempfile
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports import onnx_format
from efficientvision.exports.artifacts import METADATA_KEY, need
from efficientvision.exports.signal_stack import kept_signal_stack
from efficientvision.files import AnyPath
from efficientvision.tasks.portable import PortableNetwork

_EXTRA = "openvino"


def write(function: Any, path: AnyPath, metadata: str, **_: Any) -> None:
    """Writes a concrete function of `images` as an OpenVINO model.

    It is converted through ONNX, because that gives faster models than converting TensorFlow's
    graphs directly.

    Args:
        function: the concrete function, see `portable` and `portable_classifier`.
        path: the `.xml` file; the `.bin` file is written first.
        metadata: JSON to store in the model's runtime information.
    """
    openvino = need("openvino", _EXTRA, "writing OpenVINO models")
    with tempfile.TemporaryDirectory() as folder:
        source = files.join(folder, "model.onnx")
        onnx_format.write(function, source, metadata)
        model = openvino.convert_model(source)
        model.set_rt_info(metadata, [METADATA_KEY])
        # The default would write the weights in float16.
        openvino.save_model(model, files.join(folder, "model.xml"), compress_to_fp16=False)
        files.copy(files.join(folder, "model.bin"), weights_of(path))
        files.copy(files.join(folder, "model.xml"), path)


def weights_of(path: AnyPath) -> str:
    """The path of the `.bin` file of an `.xml` file."""
    text = files.as_text(path)
    stem = text[: -len(".xml")] if text.lower().endswith(".xml") else text
    return stem + (".BIN" if files.is_file(stem + ".BIN") else ".bin")


def load(path: AnyPath, threads: int = 0) -> tuple[PortableNetwork, str | None]:
    """Loads a model for inference on the CPU.

    Args:
        path: the `.xml` file.
        threads: maximum number of threads; 0 = runtime default.

    Returns:
        The runner, and the JSON metadata; None for files not written by this library.

    Raises:
        UserError: OpenVINO is not installed, the weights are missing, or the file is damaged.
    """
    openvino = need("openvino", _EXTRA, f"running {path}")
    # By default OpenVINO computes in bfloat16 if the processor supports it.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    model = _read(path)
    known = model.has_rt_info([METADATA_KEY])
    metadata = model.get_rt_info([METADATA_KEY]).astype(str) if known else None
    # Compiling may remove a copy, whose output then has its source's name too.
    names = [output.get_any_name() for output in model.outputs]
    with kept_signal_stack():
        compiled = openvino.compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        results = request.infer([images])
        return {name: results[index].copy() for index, name in enumerate(names)}

    sides = model.inputs[0].partial_shape
    run.input_shape = [  # type: ignore[attr-defined]
        side.get_length() if side.is_static else None for side in sides
    ]
    return run, metadata


def _read(path: AnyPath) -> Any:
    openvino = need("openvino", _EXTRA, f"running {path}")
    if not files.is_file(weights_of(path)):
        raise UserError(f"{path} needs its weights file, but {weights_of(path)} is missing")
    with files.local_copy(path) as xml, files.local_copy(weights_of(path)) as weights:
        try:
            return openvino.Core().read_model(xml, weights)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"{path} is not a valid OpenVINO model, or it was cut short ({reason})"
            ) from error
