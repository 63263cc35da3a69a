"""The command lines of EdgeNets' scripts, for `main.py` and the two demos."""
