"""Tasks: everything that differs between detection, classification and segmentation."""
