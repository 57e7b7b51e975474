"""The trainer: fits models with PyTorch and leaves them behind as bundles."""
