"""The flags of `main.py` and `model_inspect.py`: every one that the published programs had.

Each belongs to one of three lists per program: implemented, obsolete (accepted, and a printed line
says why it has no effect), unavailable (rejected with the reason).
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from absl import flags

from efficientvision.configs.inspect_options import RUNMODES, InspectSettings
from efficientvision.configs.run_options import (
    NO_TENSORRT,
    Choices,
    RunOptions,
    kind_of,
    option_fields,
)
from efficientvision.errors import UserError

TRAIN = "main.py"
INSPECT = "model_inspect.py"


class FlagSpec(NamedTuple):
    """One flag. Its type is `str`, `int`, `float`, `bool`, `ints` or its choices."""

    type: str | Choices
    default: Any
    help: str


class UnavailableFlag(NamedTuple):
    """A flag that is rejected if it is set.

    Attributes:
        spec: Its declaration.
        reason: Why it is not available, and what to do instead.
    """

    spec: FlagSpec
    reason: str


def specs_of(options: type) -> dict[str, FlagSpec]:
    """The flags for a dataclass of options, by name."""
    return {
        field.name: FlagSpec(
            field.metadata["choices"] or kind_of(field), field.default, field.metadata["help"]
        )
        for field in option_fields(options)
    }


IMPLEMENTED: dict[str, dict[str, FlagSpec]] = {
    TRAIN: specs_of(RunOptions),
    INSPECT: {
        "runmode": FlagSpec("str", "dry", f"one of {', '.join(RUNMODES)}"),
        **specs_of(InspectSettings),
    },
}

# Other names for the same flag: those of earlier and later published versions.
ALIASES: dict[str, dict[str, str]] = {
    TRAIN: {
        "training_file_pattern": "train_file_pattern",
        "validation_file_pattern": "val_file_pattern",
        "eval_after_training": "eval_after_train",
        "tf_random_seed": "seed",
    },
    INSPECT: {"xla": "use_xla"},
}

_NO_PARTITION = (
    "images are not split across TPU cores; if an image does not fit on one core, use "
    "grad_checkpoint=true, mixed_precision=true or a smaller batch"
)

# Reported only if the flag is set to something other than false.
OBSOLETE: dict[str, dict[str, tuple[FlagSpec, str]]] = {
    TRAIN: {
        "eval_master": (FlagSpec("str", "", "obsolete"), "evaluation always runs in this process"),
        "run_epoch_in_child_process": (
            FlagSpec("bool", False, "obsolete"),
            "memory use does not grow from epoch to epoch",
        ),
        "use_spatial_partition": (FlagSpec("bool", False, "obsolete"), _NO_PARTITION),
        "num_cores_per_replica": (FlagSpec("int", 8, "obsolete"), _NO_PARTITION),
        "input_partition_dims": (FlagSpec("ints", [1, 4, 2, 1], "obsolete"), _NO_PARTITION),
    },
    INSPECT: {
        "freeze": (
            FlagSpec("bool", False, "obsolete"),
            "no version ever read it; use --runmode=freeze",
        ),
    },
}

# Rejected, each with its reason.
INVALID: dict[str, dict[str, UnavailableFlag]] = {
    TRAIN: {},
    INSPECT: {"tensorrt": UnavailableFlag(FlagSpec("str", None, "not available"), NO_TENSORRT)},
}


def define_train_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags of `main.py`."""
    _define(TRAIN, flag_values)


def define_inspect_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the flags of `model_inspect.py`."""
    _define(INSPECT, flag_values)


def values_of(options: type, flag_values: flags.FlagValues) -> dict[str, Any]:
    """The values of parsed flags for the fields of a dataclass of options."""
    return {field.name: flag_values[field.name].value for field in option_fields(options)}


def options_of(flag_values: flags.FlagValues = flags.FLAGS) -> RunOptions:
    """The options from parsed flags of `main.py`."""
    values = values_of(RunOptions, flag_values)
    written = frozenset(name for name in values if flag_values[name].present)
    return RunOptions(**values, written=written)


def report_obsolete(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Prints why each obsolete flag on the command line has no effect; rejects unavailable ones.

    Raises:
        UserError: A flag asks for something that this version does not have.
    """
    for program in (TRAIN, INSPECT):
        for name, flag in INVALID[program].items():
            if _given(name, flag_values) and flag_values[name].value not in (None, ""):
                raise UserError(f"--{name} is not available: {flag.reason}.")
        for name, (_, reason) in OBSOLETE[program].items():
            if _given(name, flag_values) and flag_values[name].value is not False:
                print(f"Flag --{name} has no effect: {reason}.", file=sys.stderr)


def _given(name: str, flag_values: flags.FlagValues) -> bool:
    return name in flag_values and flag_values[name].present > 0


def _define(program: str, flag_values: flags.FlagValues) -> None:
    specs = dict(IMPLEMENTED[program])
    specs |= {
        name: spec._replace(help=f"Obsolete: {reason}.")
        for name, (spec, reason) in OBSOLETE[program].items()
    }
    specs |= {
        name: flag.spec._replace(help=f"Not available: {flag.reason}.")
        for name, flag in INVALID[program].items()
    }
    for name, spec in specs.items():
        define_flag(name, spec, flag_values)
    for alias, name in ALIASES[program].items():
        flags.DEFINE_alias(alias, name, flag_values=flag_values)


def define_flag(name: str, spec: FlagSpec, flag_values: flags.FlagValues) -> None:
    """Declares one flag."""
    kind = spec.type() if callable(spec.type) else spec.type
    if isinstance(kind, tuple):
        flags.DEFINE_enum(name, spec.default, kind, spec.help, flag_values=flag_values)
        return
    define = {
        "str": flags.DEFINE_string,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "bool": flags.DEFINE_bool,
        "ints": flags.DEFINE_multi_integer,
    }[kind]
    define(name, spec.default, spec.help, flag_values=flag_values)
