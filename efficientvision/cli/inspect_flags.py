"""The flags of `model_inspect.py`: implemented, aliases, obsolete, unavailable (see `flags`)."""

from __future__ import annotations

from efficientvision.cli.flag_spec import FlagSpec, UnavailableFlag, specs_of
from efficientvision.configs.inspect_options import RUNMODES, InspectSettings
from efficientvision.configs.run_options import NO_TENSORRT

IMPLEMENTED = {
    "runmode": FlagSpec("str", "dry", f"one of {', '.join(RUNMODES)}"),
    **specs_of(InspectSettings),
}

# Other names for the same flag: those of earlier and later published versions.
ALIASES = {"xla": "use_xla"}

# Reported only if the flag is set to something other than false.
OBSOLETE = {
    "freeze": (
        FlagSpec("bool", False, "obsolete"),
        "no version ever read it; use --runmode=freeze",
    ),
}

INVALID = {
    "tensorrt": UnavailableFlag(
        FlagSpec("str", None, "not available"),
        NO_TENSORRT,
    ),
}
