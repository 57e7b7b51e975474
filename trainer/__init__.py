"""The trainer: fits models with PyTorch and leaves them behind as bundles."""

import os

import service as service  # before ONNX Runtime, which it keeps from telling its maker

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # the same of Ray, where it is used
