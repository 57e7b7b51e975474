"""Gaugewatch: the service that scores every point of every entity. Installs without torch."""

import os

# ONNX Runtime (1.29 and later) keeps an identifier in the home directory and tells its maker of
# models and machine, unless this says no before it is loaded (its Privacy.md). Ours asks no host.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
