"""Inspects, times, exports and runs detectors, classifiers and segmenters.

--runmode is one of
  dry                    print parameters and multiply-adds of each part; write the weights to
                         --logdir
  ckpt                   check that --ckpt_path fits the model; --export_ckpt writes its averaged
                         weights as a checkpoint
  bm                     time the network on random input
  infer                  run --ckpt_path on --input_image and draw the boxes, the top classes or the
                         class of each pixel into --output_image_dir
  export                 write each --format to --saved_model_dir and compare it with the network
  saved_model            export the model, from photos to detections, probabilities or class maps,
                         to --saved_model_dir
  saved_model_infer      like infer, with the exported model --saved_model_dir
  saved_model_video      like infer, from --input_video to --output_video or a live page; uses
                         --saved_model_dir, or --ckpt_path if that does not exist
  saved_model_benchmark  time an exported model end to end, from photo to results
  freeze                 write the network alone as a frozen graph to --logdir
"""

import importlib
from collections.abc import Callable

from absl import flags

from efficientvision.cli.flags import RUNMODES, report_obsolete, values_of
from efficientvision.cli.tensorflow_start import compile_clusters, load_tensorflow_quietly
from efficientvision.configs.inspect_options import InspectSettings, check_numbers, unused_settings
from efficientvision.configs.run_options import option_fields
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

# Run mode -> module and function, imported only when it runs.
_COMMANDS = {
    "dry": "cli.inspect_network.dry",
    "ckpt": "cli.inspect_network.ckpt",
    "bm": "runs.benchmark.run",
    "infer": "cli.inspect_infer.run",
    "export": "runs.export.run",
    "saved_model": "cli.inspect_exports.saved_model",
    "saved_model_infer": "cli.inspect_saved_model_infer.run",
    "saved_model_video": "cli.inspect_saved_model_video.run",
    "saved_model_benchmark": "runs.benchmark_export.run",
    "freeze": "cli.inspect_exports.freeze",
}


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int | None:
    """Runs `--runmode`.

    Args:
        argv: Words that are not flags; not used.
        flag_values: Parsed flags of `define_inspect_flags`.

    Returns:
        The exit code; None: 0.

    Raises:
        UserError: Bad flags or bad input.
    """
    del argv
    report_obsolete(flag_values)
    runmode = _checked_runmode(flag_values.runmode)
    _check_values(flag_values)
    _say_unused(runmode, flag_values)
    if flag_values.use_xla and runmode == "saved_model_benchmark":
        compile_clusters()
    # Only now, since TensorFlow takes seconds: mistakes in flags are reported at once.
    load_tensorflow_quietly(warnings=False)
    import tensorflow as tf

    from efficientvision.runs.devices import grow_gpu_memory
    from efficientvision.weights.hub import with_local_paths

    grow_gpu_memory()
    if flag_values.threads:
        tf.config.threading.set_intra_op_parallelism_threads(flag_values.threads)
        print(f"num_threads for benchmarking: {flag_values.threads}")
    values = values_of(InspectSettings, flag_values)
    values |= {name: values[name] or None for name in ("model_name", "batch_size", "ckpt_path")}
    if values["ckpt_path"] == "_":
        values["ckpt_path"] = None
    settings = with_local_paths(InspectSettings(**values), "ckpt_path", "saved_model_dir")
    return command_of(runmode)(settings)


def command_of(runmode: str) -> Callable[[InspectSettings], int | None]:
    """Returns the function that runs a run mode."""
    module, _, function = _COMMANDS[runmode].rpartition(".")
    return getattr(importlib.import_module(f"efficientvision.{module}"), function)


def _checked_runmode(runmode: str) -> str:
    if runmode not in RUNMODES:
        raise UserError(f"Unknown --runmode={runmode}. {nearest_names(runmode, RUNMODES)}")
    return runmode


def _check_values(flag_values: flags.FlagValues) -> None:
    valid = list_models(flag_values.task)
    name = flag_values.model_name
    if name and name not in valid:
        raise UserError(f"Unknown --model_name={name}. {nearest_names(name, valid)}")
    check_numbers(values_of(InspectSettings, flag_values))


def _say_unused(runmode: str, flag_values: flags.FlagValues) -> None:
    present = [f.name for f in option_fields(InspectSettings) if flag_values[f.name].present]
    for name in unused_settings(present, runmode):
        print(f"Flag --{name} has no effect with --runmode={runmode}")
