"""Program: stands for a training process in the tests of its supervisor.

Usage: watched_child.py FOLDER WORKER [CODE]. Writes its process id to FOLDER/WORKER.<attempt>, then
waits for the file FOLDER/finish. With CODE it ends with that exit code at once. As a training does,
it takes its time when SIGTERM asks it to end, and every worker's child ends with it: it writes
FOLDER/asked, and ends with code 143 where it finds that file.
"""

import os
import pathlib
import signal
import sys
import time

from efficientvision.training.supervisor import end_with_parent

folder, worker, *code = sys.argv[1:]
end_with_parent()
attempt = len(list(pathlib.Path(folder).glob(f"{worker}.*")))
unfinished = pathlib.Path(folder, f"new-{worker}")
unfinished.write_text(str(os.getpid()))
unfinished.rename(pathlib.Path(folder, f"{worker}.{attempt}"))
if code:
    sys.exit(int(code[0]))
asked = pathlib.Path(folder, "asked")
signal.signal(signal.SIGTERM, lambda number, frame: asked.touch())
while not pathlib.Path(folder, "finish").exists():
    if asked.exists():
        time.sleep(0.3)
        sys.exit(128 + signal.SIGTERM)
    time.sleep(0.02)
