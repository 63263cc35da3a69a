"""What a run carries along: the layers' randomness by step, replica and layer."""

import json
import os
import subprocess
import sys

PROGRAM = os.path.join(os.path.dirname(__file__), "layer_seeds.py")


def test_layers_draw_by_step_replica_and_layer(repository):
    done = subprocess.run(
        [sys.executable, PROGRAM, "0", "5", "0"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, later, again = json.loads(done.stdout.strip().splitlines()[-1])
    # Step 0 after step 5 draws what step 0 drew: nothing is carried over.
    assert first == again
    states = [tuple(state) for step in (first, later) for layer in step for state in layer]
    assert len(set(states)) == len(states) == 2 * 2 * 2
