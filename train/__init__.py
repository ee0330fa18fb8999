"""Learn a model and leave a checkpoint: PyTorch on a desktop."""
