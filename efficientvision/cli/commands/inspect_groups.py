"""The options of exports and benchmarks in the groups of the commands' help."""

from __future__ import annotations

from collections.abc import Collection

from efficientvision.cli.commands.base import REST, grouped
from efficientvision.cli.flags import FlagSpec
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import option_fields

_MODEL = ("model_name", "task", "hparams", "input_image_size", "batch_size", "threads")


def groups_of(
    runmodes: Collection[str], leave_out: Collection[str]
) -> dict[str, dict[str, FlagSpec]]:
    """The options of `InspectSettings` that some runmodes use.

    Args:
        runmodes: Some of `RUNMODES`.
        leave_out: Names that the command does not offer, or calls otherwise.
    """
    fields = option_fields(InspectSettings)
    used = {f.name: f.metadata.get("runmodes", runmodes) for f in fields}
    unused = {name for name, modes in used.items() if not set(runmodes) & set(modes)}
    found = grouped(InspectSettings, {"Model": _MODEL}, {*unused, *leave_out})
    found["Result"] = found.pop(REST)
    return found
