"""Pure, graph-side image and box transforms."""
