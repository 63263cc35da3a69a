"""From a trained network to files that run without this library."""
