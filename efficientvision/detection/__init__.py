"""Anchors, target assignment, losses, non-maximum suppression and decoding of detections."""
