"""Files of predictions: tables, COCO, YOLO, and imports of annotation tools."""
