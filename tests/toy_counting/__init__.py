"""A task that the library does not have: how many bright blobs are in a picture.

All that a task needs is in this folder, whose name `registry.TASKS` must know. `tests/tasks/
test_toy_task.py` adds it there, and holds that nothing else knows the tasks by name.
"""
