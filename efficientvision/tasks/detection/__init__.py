"""Object detection: EfficientDet, and SSD on any backbone."""
