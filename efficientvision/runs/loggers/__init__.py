"""Loggers of training runs: TensorBoard, Weights & Biases, MLflow."""
