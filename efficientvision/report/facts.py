"""Records how a run was started: `command.txt` for people, `run.json` for the report."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

import efficientvision
from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.preflight.findings import Finding
from efficientvision.training.callbacks import TrainerView

COMMAND_NAME = "command.txt"
FACTS_NAME = "run.json"
FINDINGS_NAME = "preflight.json"


def append_command(model_dir: AnyPath, command: str, step: int) -> None:
    """Appends date, command, versions and devices to `command.txt`; nothing else of the machine.

    Args:
        model_dir: The run's folder.
        command: The command as typed, or the Python call.
        step: The step from which the run resumes; 0: a new run.
    """
    path = files.join(model_dir, COMMAND_NAME)
    # Damaged bytes from earlier starts are kept, readable or not.
    before = files.read_bytes(path).decode("utf8", "replace") + "\n" if files.is_file(path) else ""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f"resumes from step {step}" if step else "starts"
    entry = [
        f"# {now}: the run {what}",
        f"# {'; '.join(f'{name} {version}' for name, version in versions().items())}",
        f"# {device_text()}",
        command,
    ]
    files.write_text(path, before + "\n".join(entry) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a run depends on."""
    return {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "efficientvision": efficientvision.__version__,
    }


def device_text() -> str:
    """The processor and the accelerators of this machine, by name."""
    parts = [_processor_name()]
    for device in tf.config.list_physical_devices():
        if device.device_type == "GPU":
            details = tf.config.experimental.get_device_details(device)
            parts.append(details.get("device_name", "GPU"))
        elif device.device_type == "TPU":
            parts.append("TPU core")
    named = dict.fromkeys(parts)
    return ", ".join(
        f"{parts.count(name)} x {name}" if parts.count(name) > 1 else name for name in named
    )


def _processor_name() -> str:
    try:
        lines = files.read_text("/proc/cpuinfo").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if names:
        return f"{len(names)} x {names[0]}" if len(names) > 1 else names[0]
    return platform.processor() or platform.machine()


def write_facts(model_dir: AnyPath, trainer: TrainerView) -> None:
    """Writes `run.json`: facts known before the first step that are in no other file."""
    plan, task, model = trainer.plan, trainer.task, trainer.state.model
    facts = {
        "batch_size": plan.batch_size,
        "total_steps": plan.total_steps,
        "examples_per_epoch": plan.examples_per_epoch,
        "num_epochs": plan.num_epochs,
        "training_files": task.training_files,
        "evaluation_files": task.evaluation_files,
        "parameters": model.count_params(),
        "replicas": trainer.strategy.num_replicas_in_sync,
        "best_metric": task.best_metric,
        "devices": device_text(),
        "versions": versions(),
    }
    files.write_text(files.join(model_dir, FACTS_NAME), json.dumps(facts, indent=1) + "\n")


def write_findings(model_dir: AnyPath, findings: Sequence[Finding]) -> None:
    """Writes `preflight.json`: level, subject, figures and advice of each finding."""
    table = {"findings": [dataclasses.asdict(finding) for finding in findings]}
    text = json.dumps(table, indent=1, ensure_ascii=False)
    files.write_text(files.join(model_dir, FINDINGS_NAME), text + "\n")


def read_json(model_dir: AnyPath, *names: str) -> dict[str, Any]:
    """Reads a JSON object from the folder; empty if there is no such file."""
    path = files.join(model_dir, *names)
    return json.loads(files.read_text(path)) if files.is_file(path) else {}
