"""`efficientvision models`."""

from __future__ import annotations

from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.cli.flags import FlagSpec
from efficientvision.errors import UserError
from efficientvision.registry import TASKS, list_models, nearest_names
from efficientvision.tasks.choice import get_config


def _check(call: Call) -> None:
    (task,) = call.words
    if task and task not in TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(task, tuple(TASKS))}")


def _run(call: Call) -> None:
    (chosen,) = call.words
    for task in [chosen] if chosen else TASKS:
        names = list_models(task)
        if call.options.get("names"):
            print("\n".join(names))
            continue
        width = max(map(len, names))
        print(f"{task}: {len(names)} networks, with the width and height of the input")
        for name in names:
            height, breadth = get_config(name, task=task).image_hw
            print(f"  {name:<{width}}  {breadth}x{height}")
        print()


COMMAND = Command(
    name="models",
    summary="Lists the networks of each task.",
    examples=[
        ("efficientvision models", "all of them"),
        ("efficientvision models detection --names", "the names of the detectors alone"),
    ],
    arguments=[Argument("TASK", f"one of {', '.join(TASKS)}", required=False, options=("task",))],
    groups={"Options": {"names": FlagSpec("bool", False, "print names only, one per line")}},
    run=_run,
    check=_check,
)
