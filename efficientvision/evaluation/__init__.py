"""Metrics of finished detections: COCO average precision and ensembles of detections."""
