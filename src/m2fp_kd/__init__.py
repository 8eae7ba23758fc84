"""Distil M2FP human parsing into small networks that run on a CPU."""

import os
import sys
from pathlib import Path

__version__ = "0.1.0"

DEMO = Path(__file__).parent / "demo"
"""Artefact that comes with the package."""

# Nothing that the user did not ask for is sent. OpenVINO and NNCF send usage statistics through this package, at every
# import; without it they use their own stubs. ONNX Runtime (in compiled code), W&B and Hugging Face take a variable.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
